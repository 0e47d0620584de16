package store

import "fmt"

// A GroupName is the name of a group of people: 1 to 64 of a-z 0-9 . _ -,
// beginning with a letter or digit. It has no upper case, so that two groups
// never differ by case alone, and no "@", so that it is never taken for an
// address.
type GroupName string

// ParseGroupName returns s as a GroupName, or an error that says what one is.
func ParseGroupName(s string) (GroupName, error) {
	ok := len(s) > 0 && len(s) <= maxLogin && isLowerOrDigit(s[0])
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = isLowerOrDigit(c) || c == '.' || c == '_' || c == '-'
	}
	if !ok {
		return "", fmt.Errorf("group name %q: want 1 to %d of a-z 0-9 . _ -, beginning with a letter or digit", clip(s), maxLogin)
	}
	return GroupName(s), nil
}
