// Package catalog is the room of words: the titles, descriptions, remediation
// steps and reference texts of the 15 network-layer alerts in English and
// Japanese, and the rendering of an alert into the alert object that users,
// scripts and receivers see.
//
// Ids, titles, placeholder names, severities and tactics are identifiers: they
// are those of Defender for Cloud and never change. All other wording is
// Weir's own. Texts are whole messages with named placeholders (%{Name}),
// so each language orders its sentence freely, and every placeholder has the
// same English name in both languages.
//
// Everything in this package is a pure function of its arguments and safe for
// concurrent use.
package catalog
