package sshconfig

// shellQuotes is false because cmd.exe has no single quotes, and a double
// quote cannot stand inside the argument of Match exec.
const shellQuotes = false
