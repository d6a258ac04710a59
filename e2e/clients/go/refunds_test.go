package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

type readyFile struct {
	BaseURL string `json:"baseUrl"`
	Test    struct {
		KeyID  string `json:"keyId"`
		Secret string `json:"secret"`
	} `json:"test"`
}

// merchant returns a client whose key gets the errors of the Go page.
func merchant(t *testing.T) (context.Context, *Client) {
	t.Helper()
	raw, err := os.ReadFile(os.Getenv("REFUNDRY_READY_FILE"))
	check(t, err)
	var ready readyFile
	check(t, json.Unmarshal(raw, &ready))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	web := &http.Client{Timeout: 10 * time.Second}
	maker := &Client{BaseURL: ready.BaseURL, KeyID: ready.Test.KeyID, Secret: ready.Test.Secret, HTTP: web}
	var key struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	wish := map[string]any{"name": "go", "errorProfile": "go"}
	_, err = maker.Do(ctx, http.MethodPost, "/api/v1/api-keys", wish, newKey(), &key)
	check(t, err)
	return ctx, &Client{BaseURL: ready.BaseURL, KeyID: key.ID, Secret: key.Secret, HTTP: web}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// paidSession opens a checkout session over 100.00 and pays it as a buyer does.
func paidSession(ctx context.Context, t *testing.T, c *Client, metadata map[string]string) string {
	t.Helper()
	wish := map[string]any{
		"amount": 10_000, "currency": "USD", "methods": []string{"card"}, "lineItems": []any{},
		// Go encodes & as \u0026.
		"successUrl": "https://shop.example/thanks?a=1&b=2", "cancelUrl": "https://shop.example/no",
		"metadata": metadata,
	}
	var session struct {
		ID        string `json:"id"`
		HostedURL string `json:"hostedUrl"`
	}
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/checkout-sessions", wish, newKey(), &session)
	check(t, err)
	charge := fmt.Sprintf("%s/api/v1/public/checkout/sessions/%s/charge", c.BaseURL, session.ID)
	reply, err := c.HTTP.Post(charge, "application/json", bytes.NewReader([]byte(`{"method":"card"}`)))
	check(t, err)
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("the charge answered %s", reply.Status)
	}
	return session.ID
}

// paidInvoice creates an invoice over 30.00 and pays it on the hosted page.
func paidInvoice(ctx context.Context, t *testing.T, c *Client) string {
	t.Helper()
	wish := map[string]any{
		"customerId": "cus_1", "currency": "USD", "status": "open",
		"lines": []map[string]any{{"description": "Socks", "quantity": 3, "unitAmount": 1_000}},
	}
	var invoice struct {
		ID  string `json:"id"`
		URL string `json:"hostedInvoiceUrl"`
	}
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/invoices", wish, newKey(), &invoice)
	check(t, err)
	reply, err := c.HTTP.PostForm(invoice.URL, url.Values{"do": {"pay"}, "method": {"card"}})
	check(t, err)
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("the page answered %s", reply.Status)
	}
	return invoice.ID
}

// awaitRefund polls until the refund is final, as the page shows it.
func awaitRefund(ctx context.Context, t *testing.T, c *Client, id string) *Refund {
	t.Helper()
	backoff := 20 * time.Millisecond
	for {
		refund, err := c.GetRefund(ctx, id)
		check(t, err)
		switch refund.Status {
		case "succeeded", "failed", "canceled":
			return refund
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still %s", id, refund.Status)
		case <-time.After(backoff):
		}
		if backoff < time.Second {
			backoff *= 2
		}
	}
}

func TestFullRefundOfASession(t *testing.T) {
	ctx, c := merchant(t)
	session, reason := paidSession(ctx, t, c, nil), "customer_request"
	refund, err := c.CreateRefund(ctx, RefundInput{
		SourceType: "checkout_session", SourceID: session, Reason: &reason,
	})
	check(t, err)
	if refund.Status != "pending" || refund.Amount != 10_000 || refund.Currency != "USD" {
		t.Fatalf("%+v", refund)
	}
	if refund.SourceType != "checkout_session" || refund.SourceID != session || *refund.Reason != reason {
		t.Fatalf("%+v", refund)
	}
	done := awaitRefund(ctx, t, c, refund.ID)
	if done.Status != "succeeded" || done.FailureReason != nil || done.UpdatedAt.Before(done.CreatedAt) {
		t.Fatalf("%+v", done)
	}
}

func TestPartialRefundOfAnInvoice(t *testing.T) {
	ctx, c := merchant(t)
	invoice, amount := paidInvoice(ctx, t, c), int64(500)
	// One page writes in_, the other inv_, for the same invoice.
	for _, id := range []string{invoice, strings.Replace(invoice, "inv_", "in_", 1)} {
		refund, err := c.CreateRefund(ctx, RefundInput{SourceType: "invoice", SourceID: id, Amount: &amount})
		check(t, err)
		if refund.Amount != 500 || refund.InvoiceID == nil || *refund.InvoiceID != invoice {
			t.Fatalf("%+v", refund)
		}
		other, err := c.GetRefund(ctx, strings.Replace(refund.ID, "rfd_", "rf_", 1))
		check(t, err)
		if other.ID != refund.ID {
			t.Fatalf("%s and %s", other.ID, refund.ID)
		}
	}
	rest, err := c.CreateRefund(ctx, RefundInput{SourceType: "invoice", SourceID: invoice})
	check(t, err)
	if rest.Amount != 2_000 {
		t.Fatalf("the rest is %d", rest.Amount)
	}
}

func TestListByStatusAndSource(t *testing.T) {
	ctx, c := merchant(t)
	session, one := paidSession(ctx, t, c, nil), int64(1)
	var made []string
	for i := 0; i < 3; i++ {
		refund, err := c.CreateRefund(ctx, RefundInput{
			SourceType: "checkout_session", SourceID: session, Amount: &one,
		})
		check(t, err)
		awaitRefund(ctx, t, c, refund.ID)
		made = append(made, refund.ID)
	}
	query := url.Values{"sourceId": {session}, "status": {"succeeded"}, "limit": {"2"}}
	var seen []string
	for {
		page, err := c.ListRefunds(ctx, query)
		check(t, err)
		for _, refund := range page.Data {
			seen = append(seen, refund.ID)
		}
		if !page.HasMore {
			break
		}
		query.Set("cursor", *page.Cursor)
	}
	if len(seen) != 3 || seen[0] != made[2] || seen[2] != made[0] {
		t.Fatalf("%v of %v", seen, made)
	}
}

func TestStableKeyForATicket(t *testing.T) {
	ctx, c := merchant(t)
	in := RefundInput{SourceType: "checkout_session", SourceID: paidSession(ctx, t, c, nil)}
	key := "ticket_" + newKey()
	var ids [2]string
	for i := range ids {
		var out Refund
		_, err := c.Do(ctx, http.MethodPost, "/api/v1/refunds", in, key, &out)
		check(t, err)
		ids[i] = out.ID
	}
	if ids[0] != ids[1] {
		t.Fatalf("two clicks made %v", ids)
	}
	less := int64(1)
	in.Amount = &less
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/refunds", in, key, nil)
	expect(t, err, 409, "conflict")
}

func expect(t *testing.T, err error, status int, code string) *Error {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != status || refused.Code != code {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
	if !strings.HasPrefix(refused.RequestID, "req_") {
		t.Fatalf("request id %q", refused.RequestID)
	}
	return refused
}

func TestAlreadyRefundedRace(t *testing.T) {
	ctx, c := merchant(t)
	session := paidSession(ctx, t, c, nil)
	type outcome struct {
		refund *Refund
		err    error
	}
	outcomes := make([]outcome, 4)
	var group sync.WaitGroup
	for i := range outcomes {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			refund, err := c.CreateRefund(ctx, RefundInput{SourceType: "checkout_session", SourceID: session})
			outcomes[i] = outcome{refund, err}
		}(i)
	}
	group.Wait()
	winner := ""
	for _, one := range outcomes {
		if one.err == nil {
			if winner != "" {
				t.Fatal("two full refunds")
			}
			winner = one.refund.ID
			continue
		}
		if refused := expect(t, one.err, 400, "validation_error"); !strings.Contains(refused.Message, "refundable") {
			t.Fatal(refused)
		}
	}
	page, err := c.ListRefunds(ctx, url.Values{"sourceId": {session}})
	check(t, err)
	if len(page.Data) != 1 || page.Data[0].ID != winner {
		t.Fatalf("%+v", page.Data)
	}
}

func TestFailedRefund(t *testing.T) {
	ctx, c := merchant(t)
	session := paidSession(ctx, t, c, map[string]string{"simulate": "refuse"})
	refund, err := c.CreateRefund(ctx, RefundInput{SourceType: "checkout_session", SourceID: session})
	check(t, err)
	failed := awaitRefund(ctx, t, c, refund.ID)
	if failed.Status != "failed" || failed.FailureReason == nil || *failed.FailureReason == "" {
		t.Fatalf("%+v", failed)
	}
	// The failed refund released the money.
	if _, err := c.CreateRefund(ctx, RefundInput{SourceType: "checkout_session", SourceID: session}); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerReconciles(t *testing.T) {
	ctx, c := merchant(t)
	amount := int64(700)
	refund, err := c.CreateRefund(ctx, RefundInput{
		SourceType: "checkout_session", SourceID: paidSession(ctx, t, c, nil), Amount: &amount,
	})
	check(t, err)
	awaitRefund(ctx, t, c, refund.ID)
	var entries []struct {
		Code, Direction string
		Amount          int64
	}
	query := url.Values{"sourceType": {"refund"}, "sourceId": {refund.ID}}
	_, err = c.Do(ctx, http.MethodGet, "/api/v1/ledger?"+query.Encode(), nil, "", &entries)
	check(t, err)
	legs := map[string]int64{}
	for _, entry := range entries {
		legs[entry.Code+" "+entry.Direction] += entry.Amount
	}
	if len(legs) != 2 || legs["revenue_refund debit"] != 700 || legs["cash credit"] != 700 {
		t.Fatalf("%v", legs)
	}
}

func TestErrorsOfThePage(t *testing.T) {
	ctx, c := merchant(t)
	paid, over, none := paidSession(ctx, t, c, nil), int64(10_001), int64(0)
	for _, row := range []struct {
		in     RefundInput
		status int
		code   string
	}{
		{RefundInput{SourceType: "checkout_session", SourceID: paid, Amount: &over}, 400, "validation_error"},
		{RefundInput{SourceType: "checkout_session", SourceID: paid, Amount: &none}, 400, "validation_error"},
		{RefundInput{SourceType: "order", SourceID: paid}, 400, "validation_error"},
		{RefundInput{SourceType: "checkout_session", SourceID: "cs_01HX0000000000000000000000"}, 404, "not_found"},
	} {
		_, err := c.CreateRefund(ctx, row.in)
		expect(t, err, row.status, row.code)
	}
	var reader struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	wish := map[string]any{"name": "reader", "scopes": []string{"plugipay:refund:read"}, "errorProfile": "go"}
	_, err := c.Do(ctx, http.MethodPost, "/api/v1/api-keys", wish, newKey(), &reader)
	check(t, err)
	weak := &Client{BaseURL: c.BaseURL, KeyID: reader.ID, Secret: reader.Secret, HTTP: c.HTTP}
	_, err = weak.CreateRefund(ctx, RefundInput{SourceType: "checkout_session", SourceID: paid})
	expect(t, err, 403, "insufficient_scope")
	_, err = weak.ListRefunds(ctx, url.Values{"sourceId": {paid}})
	check(t, err)
	wrong := &Client{BaseURL: c.BaseURL, KeyID: c.KeyID, Secret: "sk_test_wrong", HTTP: c.HTTP}
	_, err = wrong.GetRefund(ctx, "rf_01HX0000000000000000000000")
	expect(t, err, 401, "invalid_signature")
}

// flaky drops a number of answers on the way back.
type flaky struct{ breaks int }

func (f *flaky) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil && f.breaks > 0 {
		f.breaks--
		response.Body.Close()
		return nil, errors.New("the connection broke")
	}
	return response, err
}

func TestRetriesUnderOneKeyRefundOnce(t *testing.T) {
	ctx, c := merchant(t)
	in := RefundInput{SourceType: "checkout_session", SourceID: paidSession(ctx, t, c, nil)}
	broken := *c
	broken.HTTP = &http.Client{Transport: &flaky{breaks: 2}, Timeout: 10 * time.Second}
	key, tries := newKey(), 0
	var out Refund
	for ; tries < 4; tries++ {
		_, err := broken.Do(ctx, http.MethodPost, "/api/v1/refunds", in, key, &out)
		if err == nil {
			break
		}
		var refused *Error
		if errors.As(err, &refused) && refused.Status < 500 && refused.Status != 429 {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond << tries)
	}
	page, err := c.ListRefunds(ctx, url.Values{"sourceId": {in.SourceID}})
	check(t, err)
	if tries != 2 || len(page.Data) != 1 || page.Data[0].ID != out.ID {
		t.Fatalf("%d tries made %+v", tries, page.Data)
	}
}
