//! The content of the pages.

use super::Subject;
use super::html::{Text, amount};
use crate::http::checkout::{BANK_ACCOUNT, BANK_NAME, invoice_number};
use crate::http::time::Iso;
use domain::checkout::{Checkout, PaymentAttempt, State};
use domain::invoice::{self, Invoice};
use domain::line_item::LineItem;
use domain::money::Money;
use domain::payment::Payment;
use domain::tenant::Mode;
use domain::time::Timestamp;
use engine::{MANUAL, OUTCOMES, find_method};
use std::fmt::Write as _;

/// A page around `body`.
fn frame(title: &str, polls: Option<&Checkout>, body: &str) -> String {
    let polls = polls.map(poll).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/hosted.css\">\n\
         <script src=\"/assets/hosted.js\" defer></script>\n</head>\n<body{polls}>\n{body}</body>\n</html>\n",
        Text(title)
    )
}

/// The data that the script compares to notice a change of state.
fn poll(checkout: &Checkout) -> String {
    format!(
        " data-poll=\"/api/v1/public/checkout/sessions/{}\" data-status=\"{}\"",
        Text(checkout.terms.name()),
        Text(checkout.state),
    )
}

/// A page with one message.
pub(super) fn notice(heading: &str, text: &str) -> String {
    let body =
        format!("<main class=\"card\"><h1>{}</h1><p>{}</p></main>\n", Text(heading), Text(text));
    frame(heading, None, &body)
}

pub(super) fn of_subject(subject: &Subject) -> String {
    let total = subject.total;
    let shown = outcome(subject);
    let mut body = String::new();
    if subject.tenant.mode() == Mode::Test {
        body.push_str("<p class=\"ribbon\" role=\"note\">Test mode: no real money moves</p>\n");
    }
    let _ = write!(
        body,
        "<main class=\"card\">\n<header>\n<p class=\"merchant\">{}</p>\n\
         <h1><span class=\"label\">{}</span> <span class=\"amount\">{}</span></h1>\n",
        Text(&subject.merchant),
        Text(&shown.heading),
        Text(amount(total)),
    );
    if let Some(invoice) = &subject.invoice {
        about_invoice(&mut body, invoice);
    }
    body.push_str("</header>\n");
    summary(&mut body, subject, total);
    body.push_str(&shown.body);
    body.push_str("</main>\n<footer><p>Payments by Refundry</p></footer>\n");
    let polls = subject.checkout.as_ref().filter(|_| shown.polls);
    frame(&format!("{} – {}", shown.heading, subject.merchant), polls, &body)
}

fn about_invoice(body: &mut String, invoice: &Invoice) {
    let number = invoice_number(invoice);
    let _ = write!(body, "<p class=\"about\">Invoice {}", Text(number));
    if let Some(due) = invoice.terms.due_at {
        let _ = write!(body, ", due {}", Text(day(due)));
    }
    body.push_str("</p>\n");
    if let Some(memo) = &invoice.terms.memo {
        let _ = writeln!(body, "<p class=\"memo\">{}</p>", Text(memo));
    }
}

/// The date, in UTC.
fn day(at: Timestamp) -> String {
    Iso(at).to_string().chars().take(10).collect()
}

/// The table of line items and totals.
fn summary(body: &mut String, subject: &Subject, total: Money) {
    let lines: &[LineItem] = match (&subject.invoice, &subject.checkout) {
        (Some(invoice), _) => &invoice.terms.lines,
        (None, Some(checkout)) => &checkout.terms.lines,
        (None, None) => &[],
    };
    if lines.is_empty() {
        return;
    }
    let money = |minor| amount(Money::new(minor, total.currency));
    body.push_str(
        "<section aria-labelledby=\"summary\">\n<h2 id=\"summary\">Summary</h2>\n\
         <table>\n<thead class=\"unseen\"><tr><th scope=\"col\">Item</th>\
         <th scope=\"col\">Amount</th></tr></thead>\n<tbody>\n",
    );
    for line in lines {
        let _ = write!(body, "<tr><td>{}", Text(&line.text));
        if line.quantity > 1 {
            let _ = write!(
                body,
                " <span class=\"quantity\">{} × {}</span>",
                line.quantity,
                Text(money(line.unit_amount))
            );
        }
        let sum = line.amount().unwrap_or_default();
        let _ = writeln!(body, "</td><td class=\"number\">{}</td></tr>", Text(money(sum)));
    }
    body.push_str("</tbody>\n<tfoot>\n");
    let mut foot = |name: &str, text: String| {
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td></tr>",
            Text(name),
            Text(text)
        );
    };
    if let Some(invoice) = &subject.invoice {
        let totals = invoice.terms.totals;
        if totals.discount > 0 {
            foot("Discount", format!("−{}", money(totals.discount)));
        }
        if totals.tax > 0 {
            foot("Tax", money(totals.tax));
        }
    }
    foot("Total", money(total.minor));
    body.push_str("</tfoot>\n</table>\n</section>\n");
}

/// The state of the payment and the possible actions.
struct Shown {
    heading: String,
    body: String,
    /// The state can change without the buyer.
    polls: bool,
}

impl Shown {
    fn new(heading: &str, body: String) -> Self {
        Self { heading: heading.to_owned(), body, polls: false }
    }
}

fn outcome(subject: &Subject) -> Shown {
    if let Some(invoice) = &subject.invoice {
        match invoice.state {
            invoice::State::Void => {
                let text = "This invoice was withdrawn. There is nothing to pay.";
                return Shown::new("Withdrawn", status("info", "Withdrawn", text));
            }
            invoice::State::Uncollectible => {
                let text = "This invoice can no longer be paid here.";
                return Shown::new("Closed", status("info", "Closed", text));
            }
            invoice::State::Paid if !invoice.charged => {
                return Shown::new("Paid", status("good", "Paid", "Thank you."));
            }
            invoice::State::Draft
            | invoice::State::Open
            | invoice::State::PastDue
            | invoice::State::Paid => {}
        }
    }
    let Some(checkout) = &subject.checkout else {
        return Shown::new("Closed", status("info", "Closed", "There is nothing to pay."));
    };
    match checkout.state {
        State::Open | State::Failed if subject.run_out => expired(checkout),
        State::Open | State::Failed => payable(subject, checkout),
        State::Pending if checkout.flight == PaymentAttempt::ActionRequired => approval(checkout),
        State::Pending => {
            let text = "Your payment is being processed. This page follows it; you can also \
                        load it again.";
            let body = status("info", "Processing", text);
            Shown { polls: true, ..Shown::new("Processing", body) }
        }
        State::PendingReview => {
            let text = "Thank you. The shop looks whether the money has arrived and then \
                        confirms your payment.";
            let mut body = status("info", "Waiting for confirmation", text);
            body.push_str(&link(checkout.terms.success_url.as_deref(), "Return to the shop"));
            Shown { polls: true, ..Shown::new("In review", body) }
        }
        State::Completed => paid(checkout, subject.payment.as_ref()),
        State::Expired => expired(checkout),
        State::Canceled => {
            let text = "The shop withdrew this payment. Nothing was charged.";
            let mut body = status("info", "Canceled", text);
            body.push_str(&link(checkout.terms.cancel_url.as_deref(), "Return to the shop"));
            Shown::new("Canceled", body)
        }
    }
}

/// A box with the state. Screen readers announce it when the page opens.
fn status(tone: &str, heading: &str, text: &str) -> String {
    let role = if tone == "bad" { "alert" } else { "status" };
    format!(
        "<section class=\"status {tone}\" role=\"{role}\">\n<h2>{}</h2>\n<p>{}</p>\n</section>\n",
        Text(heading),
        Text(text)
    )
}

/// A link to the shop, only for http and https.
fn link(url: Option<&str>, text: &str) -> String {
    let web = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
    url.filter(web).map_or_else(String::new, |url| {
        format!("<p><a class=\"button quiet\" href=\"{}\">{}</a></p>\n", Text(url), Text(text))
    })
}

fn expired(checkout: &Checkout) -> Shown {
    let text = "The time to pay is over. Nothing was charged.";
    let mut body = status("info", "Expired", text);
    body.push_str(&link(checkout.terms.cancel_url.as_deref(), "Return to the shop"));
    Shown::new("Expired", body)
}

fn paid(checkout: &Checkout, payment: Option<&Payment>) -> Shown {
    let money = |minor| amount(Money::new(minor, checkout.terms.currency));
    let (heading, text) = match payment {
        Some(payment) if payment.refunded >= payment.capture.captured => {
            ("Refunded", "The whole amount was paid back to you.".to_owned())
        }
        Some(payment) if payment.refunded > 0 => {
            ("Partially refunded", format!("{} was paid back to you.", money(payment.refunded)))
        }
        _ => ("Paid", "Thank you. Your payment was received.".to_owned()),
    };
    let mut body = status("good", heading, &text);
    if let Some(payment) = payment.filter(|payment| payment.reserved > 0) {
        let text = format!("A refund of {} is on its way.", money(payment.reserved));
        body.push_str(&status("info", "Refund under way", &text));
    }
    body.push_str(&link(checkout.terms.success_url.as_deref(), "Return to the shop"));
    Shown::new(heading, body)
}

fn approval(checkout: &Checkout) -> Shown {
    let text =
        format!("Your bank asks whether you want to pay {}.", amount(checkout.terms.money()));
    let body = format!(
        "{}<form method=\"post\" class=\"row\">\n\
         <button class=\"button\" name=\"do\" value=\"approve\">Approve</button>\n\
         <button class=\"button quiet\" name=\"do\" value=\"refuse\">Decline</button>\n</form>\n",
        status("info", "Approve this payment", &text)
    );
    Shown::new("Approve", body)
}

fn payable(subject: &Subject, checkout: &Checkout) -> Shown {
    let mut body = String::new();
    let by_hand = checkout.method.as_deref() == Some(MANUAL.id) && !subject.choose;
    if let Some(failure) = &checkout.failure
        && !by_hand
    {
        let text = format!("{} Nothing was charged. You can try again.", failure.message);
        body.push_str(&status("bad", "The payment did not go through", &text));
    }
    if let Some(problem) = &subject.problem {
        body.push_str(&status("bad", "Please check", problem));
    }
    if by_hand {
        body.push_str(&transfer(subject, checkout));
    } else {
        body.push_str(&choice(subject, checkout));
    }
    body.push_str(&link(checkout.terms.cancel_url.as_deref(), "Cancel and return to the shop"));
    Shown::new("Pay", body)
}

/// Instructions for a bank transfer.
fn transfer(subject: &Subject, checkout: &Checkout) -> String {
    format!(
        "<section aria-labelledby=\"transfer\">\n<h2 id=\"transfer\">Bank transfer</h2>\n\
         <p>Send exactly this amount, then say that you sent it.</p>\n<dl>\n\
         <dt>Amount</dt><dd>{}</dd>\n<dt>Bank</dt><dd>{BANK_NAME}</dd>\n\
         <dt>Account</dt><dd>{BANK_ACCOUNT}</dd>\n<dt>Holder</dt><dd>{}</dd>\n\
         <dt>Reference</dt><dd class=\"code\">{}</dd>\n</dl>\n\
         <form method=\"post\"><button class=\"button\" name=\"do\" value=\"claim\">\
         I have sent the money</button></form>\n\
         <p><a href=\"?choose=1\">Pay in another way</a></p>\n</section>\n",
        Text(amount(checkout.terms.money())),
        Text(&subject.merchant),
        Text(checkout.terms.name()),
    )
}

fn choice(subject: &Subject, checkout: &Checkout) -> String {
    let mut form = String::from(
        "<form method=\"post\">\n<input type=\"hidden\" name=\"do\" value=\"pay\">\n\
         <fieldset>\n<legend>How do you want to pay?</legend>\n",
    );
    let only = checkout.terms.methods.len() == 1;
    let known = checkout.terms.methods.iter();
    for (id, method) in known.filter_map(|id| Some((id, find_method(id)?.0))) {
        let chosen = only || checkout.method.as_ref() == Some(id);
        let _ = writeln!(
            form,
            "<label class=\"choice\"><input type=\"radio\" name=\"method\" value=\"{}\" \
             required{}> <span>{}</span></label>",
            Text(id),
            if chosen { " checked" } else { "" },
            Text(method.label),
        );
    }
    form.push_str("</fieldset>\n");
    if subject.tenant.mode() == Mode::Test {
        form.push_str(
            "<p class=\"field\"><label for=\"outcome\">What should happen in this test?</label>\n\
             <select id=\"outcome\" name=\"outcome\">\n\
             <option value=\"\">The payment succeeds</option>\n",
        );
        for (word, text) in OUTCOMES {
            let _ = writeln!(form, "<option value=\"{}\">{}</option>", Text(word), Text(text));
        }
        form.push_str("</select></p>\n");
    }
    let _ = write!(
        form,
        "<button class=\"button\">Pay {}</button>\n</form>\n",
        Text(amount(checkout.terms.money()))
    );
    form
}
