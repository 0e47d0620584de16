package client

import (
	"context"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Groups returns all groups with their members.
func (c *Client) Groups(ctx context.Context) ([]api.Group, error) {
	return call[[]api.Group](ctx, c, request{route: api.RouteGroups})
}

// AddGroup adds a group without members.
func (c *Client) AddGroup(ctx context.Context, name store.GroupName) (api.Group, error) {
	return call[api.Group](ctx, c, request{route: api.RouteGroupAdd, body: api.GroupRequest{Name: string(name)}})
}

// RenameGroup gives a group another name.
func (c *Client) RenameGroup(ctx context.Context, group, name store.GroupName) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteGroupRename, path: []string{string(group)}, body: api.GroupRequest{Name: string(name)}})
	return err
}

// RemoveGroup takes a group out, with its memberships.
func (c *Client) RemoveGroup(ctx context.Context, name store.GroupName) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteGroupRemove, path: []string{string(name)}})
	return err
}

// AddMember adds somebody to a group, or returns a *WaitsError.
func (c *Client) AddMember(ctx context.Context, group store.GroupName, handle store.Handle) error {
	return c.change(ctx, request{route: api.RouteMemberAdd, path: []string{string(group)}, body: api.MemberRequest{Handle: string(handle)}})
}

// RemoveMember takes somebody out of a group, or returns a *WaitsError.
func (c *Client) RemoveMember(ctx context.Context, group store.GroupName, handle store.Handle) error {
	return c.change(ctx, request{route: api.RouteMemberRemove, path: []string{string(group), string(handle)}})
}
