package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Value is a JSON string, number or boolean as text; null is empty and a
// missing value is nil.
type Value []byte

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '{', '[':
		return fmt.Errorf("%s where a text or a number belongs", b[:1])
	case 'n':
		*v = Value{}
		return nil
	case '"':
		if bytes.IndexByte(b, '\\') < 0 {
			*v = append(Value{}, b[1:len(b)-1]...)
			return nil
		}
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = Value(s)
		return nil
	}
	*v = append(Value{}, b...)
	return nil
}

// Unmarshal reads a line that is a JSON object into v. The error names the
// column where the line stops to be JSON.
func Unmarshal(line []byte, v any) error {
	err := json.Unmarshal(line, v)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("column %d: %w", syntax.Offset, err)
	}
	return fmt.Errorf("column 1: %w", err)
}
