// Package scenario knows test cases: the scenario language (.scn files), which
// declares resources and traffic in a few lines and says which alerts must come
// of it, and labelled cases, which are real data with a truth file beside it.
// It generates the flows of a scenario and judges the alerts of a run against
// what was expected. How alerts come about is none of its business.
//
// The language is described in docs/reference/scenario.md.
package scenario
