package store

// GroupAdded brings a named set of people into the ledger. The group is named by
// its entry's index.
type GroupAdded struct {
	Name GroupName `cbor:"1,keyasint"`
}

// GroupRenamed gives a group another name. Everything else about it stays.
type GroupRenamed struct {
	Group Index     `cbor:"1,keyasint"`
	Name  GroupName `cbor:"2,keyasint"`
}

// GroupRemoved takes a group out, with its memberships.
type GroupRemoved struct {
	Group Index `cbor:"1,keyasint"`
}

// MemberAdded says that a user belongs to a group from here on.
type MemberAdded struct {
	Group Index  `cbor:"1,keyasint"`
	User  UserID `cbor:"2,keyasint"`
}

// MemberRemoved says that a user no longer does. A user or a group that is removed
// leaves no memberships, and no such entries for them.
type MemberRemoved struct {
	Group Index  `cbor:"1,keyasint"`
	User  UserID `cbor:"2,keyasint"`
}

// EventType returns TypeGroupAdded.
func (*GroupAdded) EventType() EventType { return TypeGroupAdded }

// EventType returns TypeGroupRenamed.
func (*GroupRenamed) EventType() EventType { return TypeGroupRenamed }

// EventType returns TypeGroupRemoved.
func (*GroupRemoved) EventType() EventType { return TypeGroupRemoved }

// EventType returns TypeMemberAdded.
func (*MemberAdded) EventType() EventType { return TypeMemberAdded }

// EventType returns TypeMemberRemoved.
func (*MemberRemoved) EventType() EventType { return TypeMemberRemoved }

func checkGroup(group Index, name GroupName) error {
	if err := check(want{group != 0, "a group"}); err != nil {
		return err
	}
	_, err := ParseGroupName(string(name))
	return err
}

func checkMember(group Index, user UserID) error {
	return check(want{group != 0, "a group"}, want{!user.IsZero(), "a user"})
}
