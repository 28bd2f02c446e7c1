// Package config is the configuration of Weir: one strict YAML file, in which
// every key has a default, under environment variables, under flags.
//
// [Load] returns the tree with the origin of every value, or [Problems] that
// name file, line and column, what is wrong and what is expected. The tree
// holds keys of all roles; which of them a process honours is for the engine
// to say. Source: configuration reference.
package config
