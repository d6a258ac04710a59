// Package clients runs the flows of the documentation's page on refunds for Go against a running
// demo. The client in this file follows the description of the API and uses the standard library
// only.
package clients

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client signs every request with the secret of a key.
type Client struct {
	BaseURL, KeyID, Secret string
	HTTP                   *http.Client
}

// Error is the API's answer to a request that it refuses.
type Error struct {
	Status    int
	Code      string
	Message   string
	RequestID string
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// Refund has the fields of the page, with the types of a strict Go struct.
type Refund struct {
	ID            string            `json:"id"`
	AccountID     string            `json:"accountId"`
	Amount        int64             `json:"amount"`
	Currency      string            `json:"currency"`
	Status        string            `json:"status"`
	Reason        *string           `json:"reason"`
	SourceType    string            `json:"sourceType"`
	SourceID      string            `json:"sourceId"`
	FailureReason *string           `json:"failureReason"`
	ChargeID      string            `json:"chargeId"`
	InvoiceID     *string           `json:"invoiceId"`
	FailureCode   *string           `json:"failureCode"`
	Metadata      map[string]string `json:"metadata"`
	CreatedAt     time.Time         `json:"createdAt"`
	UpdatedAt     time.Time         `json:"updatedAt"`
}

// RefundInput is the body of a refund request.
type RefundInput struct {
	SourceType string  `json:"sourceType"`
	SourceID   string  `json:"sourceId"`
	Amount     *int64  `json:"amount,omitempty"`
	Reason     *string `json:"reason,omitempty"`
}

// Page is one page of a list.
type Page struct {
	Data    []Refund
	Cursor  *string
	HasMore bool
}

type envelope struct {
	Data  json.RawMessage `json:"data"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Meta struct {
		RequestID string  `json:"requestId"`
		Cursor    *string `json:"cursor"`
		HasMore   bool    `json:"hasMore"`
	} `json:"meta"`
}

// Do sends one signed request. With a key, the request can be repeated safely.
func (c *Client) Do(ctx context.Context, method, path string, in any, key string, out any) (*envelope, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	digest := sha256.Sum256(body)
	lines := []string{method, request.URL.RequestURI(), at, hex.EncodeToString(digest[:])}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
		lines = append(lines, key)
	}
	mac := hmac.New(sha256.New, []byte(c.Secret))
	mac.Write([]byte(strings.Join(lines, "\n")))
	request.Header.Set("Authorization", fmt.Sprintf(
		"Plugipay-HMAC-SHA256 keyId=%s, scope=*, signature=%x", c.KeyID, mac.Sum(nil)))
	request.Header.Set("X-Plugipay-Timestamp", at)
	request.Header.Set("Accept", "application/json")
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var answer envelope
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			return nil, fmt.Errorf("%d is no envelope: %w", response.StatusCode, err)
		}
	}
	if response.StatusCode >= 400 || answer.Error != nil {
		refused := &Error{Status: response.StatusCode, RequestID: answer.Meta.RequestID}
		if answer.Error != nil {
			refused.Code, refused.Message = answer.Error.Code, answer.Error.Message
		}
		return nil, refused
	}
	if out != nil {
		return &answer, json.Unmarshal(answer.Data, out)
	}
	return &answer, nil
}

// CreateRefund creates a refund under a new key.
func (c *Client) CreateRefund(ctx context.Context, in RefundInput) (*Refund, error) {
	var out Refund
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/refunds", in, newKey(), &out)
	return &out, err
}

// GetRefund reads one refund.
func (c *Client) GetRefund(ctx context.Context, id string) (*Refund, error) {
	var out Refund
	_, err := c.Do(ctx, http.MethodGet, "/api/v1/refunds/"+id, nil, "", &out)
	return &out, err
}

// ListRefunds reads one page.
func (c *Client) ListRefunds(ctx context.Context, query url.Values) (*Page, error) {
	var page Page
	answer, err := c.Do(ctx, http.MethodGet, "/api/v1/refunds?"+query.Encode(), nil, "", &page.Data)
	if err != nil {
		return nil, err
	}
	page.Cursor, page.HasMore = answer.Meta.Cursor, answer.Meta.HasMore
	return &page, nil
}

func newKey() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return "idem_" + hex.EncodeToString(bytes)
}
