// Package api is the HTTP surface: alerts, their stream, what is protected, the
// catalogue, health and metrics. It renders what others keep, and asks clients
// who they are.
//
// Errors are problem details (RFC 9457), lists are pages with a link to the
// next one, and texts come in the language of ?lang= or Accept-Language.
package api
