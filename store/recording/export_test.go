package recording

// NewEncoder gives the benchmarks the encoder of a channel's output alone.
func NewEncoder(label Label) func(dst, p []byte) []byte {
	s := &stream{name: codeOutput, data: label == Metadata}
	return func(dst, p []byte) []byte { return s.append(dst, 0, p) }
}
