// Package house holds the laws of the house as tests: which room may import
// which, what a package must and must not have, and that the pages a newcomer
// reads agree with the code. Nothing runs here outside go test.
package house
