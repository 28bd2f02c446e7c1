// Package ingest knows where bytes come from: files and standard input, plain
// or compressed, and UDP sockets. It hands the bytes to the decoders of wire
// and passes on batches of flows with the watermark that holds after them.
//
// Everything that is lost on the way is counted: rows that could not be read,
// the place where a file was cut, datagrams dropped by the kernel or at the
// queue, senders that may not send. Back-pressure reaches a file (it is read
// no faster than emit takes it) and never a socket (its queue drops and counts).
package ingest
