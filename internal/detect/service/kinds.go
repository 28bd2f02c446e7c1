package service

// Reflector reports whether an own UDP port is one that amplifies
// (TA14-017A, and the classes named in section 8.5).
func Reflector(p uint16) bool {
	switch p {
	case 17, 19, 53, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11211, 27015:
		return true
	}
	return false
}

// Managed reports whether a port is one of management or data, for which an
// allow set makes sense; never web, mail or DNS.
func Managed(p uint16) bool {
	switch p {
	case 22, 3389, 5985, 5986, 1433, 3306, 5432, 1521, 445, 135, 139, 23, 161, 389, 636, 2049, 5900, 6379, 9200, 11211, 27017, 2222:
		return true
	}
	return false
}
