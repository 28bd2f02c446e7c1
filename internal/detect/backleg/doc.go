// Package backleg knows what happens behind a load balancer or application
// gateway. It collects, within bounds, what is seen of both sides of the balancer,
// and ranks the members of its pool by the likelihood that they took part in a
// finding.
//
// Like the rules it is pure: the ranking is a function of the contacts, whatever
// the order in which the sources told them.
package backleg
