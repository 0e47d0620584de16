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
func (*GroupAdded) EventType() EventType        { return TypeGroupAdded }
func (*GroupAdded) about(Index) (UserID, Index) { return UserID{}, 0 }

func (e *GroupAdded) check() error {
	_, err := ParseGroupName(string(e.Name))
	return err
}

// EventType returns TypeGroupRenamed.
func (*GroupRenamed) EventType() EventType        { return TypeGroupRenamed }
func (*GroupRenamed) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *GroupRenamed) check() error              { return checkGroup(e.Group, e.Name) }

// EventType returns TypeGroupRemoved.
func (*GroupRemoved) EventType() EventType        { return TypeGroupRemoved }
func (*GroupRemoved) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *GroupRemoved) check() error              { return check(want{e.Group != 0, "a group"}) }

// EventType returns TypeMemberAdded.
func (*MemberAdded) EventType() EventType          { return TypeMemberAdded }
func (e *MemberAdded) about(Index) (UserID, Index) { return e.User, 0 }
func (e *MemberAdded) check() error                { return checkMember(e.Group, e.User) }

// EventType returns TypeMemberRemoved.
func (*MemberRemoved) EventType() EventType          { return TypeMemberRemoved }
func (e *MemberRemoved) about(Index) (UserID, Index) { return e.User, 0 }
func (e *MemberRemoved) check() error                { return checkMember(e.Group, e.User) }

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
