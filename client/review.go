package client

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
)

// maxReviewAnswers is how many grants one call answers for.
const maxReviewAnswers = 200

// StartReview asks somebody whether standing grants are still wanted.
func (c *Client) StartReview(ctx context.Context, q api.StartReviewRequest) (api.Review, error) {
	r, err := call[api.Review](ctx, c, request{route: api.RouteReviewStart, body: q})
	if err == nil && r.Owner != q.Owner {
		return api.Review{}, fmt.Errorf("%w: a review of somebody else's", ErrAnswer)
	}
	return r, err
}

// Reviews returns the reviews that the caller may see, oldest first.
func (c *Client) Reviews(ctx context.Context) ([]api.Review, error) {
	return call[[]api.Review](ctx, c, request{route: api.RouteReviews})
}

// Review returns one of them, with its grants.
func (c *Client) Review(ctx context.Context, id uint64) (api.ReviewDetail, error) {
	r, err := call[api.ReviewDetail](ctx, c, request{route: api.RouteReview, path: requestPath(id)})
	if err == nil && r.ID != id {
		return api.ReviewDetail{}, fmt.Errorf("%w: another review", ErrAnswer)
	}
	return r, err
}

// AnswerReview keeps grants of a review or revokes them. Of more than 200 it asks in
// several calls, of which each does all of its own or none.
func (c *Client) AnswerReview(ctx context.Context, id uint64, q api.ReviewAnswerRequest) (api.Review, error) {
	all := q.Grants
	var r api.Review
	for done := 0; done < len(all) || done == 0; done += maxReviewAnswers {
		q.Grants = all[done:min(done+maxReviewAnswers, len(all))]
		var err error
		if r, err = call[api.Review](ctx, c, request{route: api.RouteReviewAnswer, path: requestPath(id), body: q}); err != nil {
			return r, err
		}
	}
	return r, nil
}

// EndReview ends a review before it is due.
func (c *Client) EndReview(ctx context.Context, id uint64) (api.Review, error) {
	return call[api.Review](ctx, c, request{route: api.RouteReviewEnd, path: requestPath(id), body: api.Empty{}})
}
