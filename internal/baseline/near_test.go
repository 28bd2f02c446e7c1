package baseline

import (
	"math"
	"testing"
)

// absNear fails the test unless got is within tol of want.
func absNear(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.15g, want %.15g within %g", what, got, want, tol)
	}
}

// relNear fails the test unless got is within the fraction tol of want.
func relNear(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Abs(want)) {
		t.Errorf("%s = %.15g, want %.15g within the fraction %g", what, got, want, tol)
	}
}
