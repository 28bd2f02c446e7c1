package catalog

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language that the catalogue speaks.
type Lang string

// Languages.
const (
	EN Lang = "en"
	JA Lang = "ja"
)

// Langs returns the languages, the default first.
func Langs() []Lang { return []Lang{EN, JA} }

// ErrLang says that a text names no language of the catalogue.
var ErrLang = errors.New("language must be en or ja")

// ParseLang reads the value of a language flag: en or ja, without regard to
// case.
func ParseLang(text string) (Lang, error) {
	for _, l := range Langs() {
		if strings.EqualFold(text, string(l)) {
			return l, nil
		}
	}
	return "", fmt.Errorf("%q: %w", text, ErrLang)
}

// FromLocale returns the language of a POSIX locale such as ja_JP.UTF-8, the
// value of LANG or LC_MESSAGES. Anything but Japanese reads as English.
func FromLocale(env string) Lang {
	name, _, _ := strings.Cut(env, ".")
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, "_")
	if strings.EqualFold(name, "ja") || strings.EqualFold(name, "japanese") {
		return JA
	}
	return EN
}

// maxAcceptLanguage bounds the header that Match reads, in bytes. Browsers send
// some dozens.
const maxAcceptLanguage = 512

// Match returns the language that suits an Accept-Language header best
// (RFC 9110, section 12.5.4); English when none does or the header is malformed
// or longer than 512 bytes.
func Match(acceptLanguage string) Lang {
	if len(acceptLanguage) > maxAcceptLanguage {
		return EN
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return EN
	}
	_, index, confidence := language.NewMatcher([]language.Tag{language.English, language.Japanese}).Match(tags...)
	if confidence == language.No {
		return EN
	}
	return Langs()[index]
}
