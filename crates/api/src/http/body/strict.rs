//! Objects in which a field that is not known is refused: leaving a field out means something there, so
//! a misspelt one must not.

use super::object::Object;
use crate::http::invalid::{Invalid, excerpt};

impl<'a> Object<'a> {
    /// Refuses fields that are not among `known`.
    pub fn expect_only(&self, known: &[&'static str]) -> Result<(), Invalid> {
        let Some(unknown) = self.names().find(|name| !known.contains(name)) else { return Ok(()) };
        let given = excerpt(unknown);
        let hint = match nearest(given, known) {
            Some(meant) => format!("; did you mean {meant}?"),
            None => String::new(),
        };
        let fields = match known {
            [] => "leave it out, no field is read here".to_owned(),
            known => format!("the fields here are {}", known.join(", ")),
        };
        let message = format!("there is no field {given:?}; {fields}{hint}");
        Err(Invalid::field(given.to_owned(), message))
    }

    /// An object in this object, read by `read`. An error in it names its whole path.
    pub fn object<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&Object<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let inside = |inner: Invalid| match inner.field {
            Some(name) => Invalid::field(format!("{field}.{name}"), inner.message),
            None => Invalid::field(field, format!("{field} must be an object")),
        };
        Object::parse(raw.as_bytes()).and_then(|object| read(&object)).map(Some).map_err(inside)
    }
}

/// The known name that a misspelt one was meant to be, if one is near enough.
fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    let bare = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let given = bare(given);
    let distance = |name: &str| strsim::damerau_levenshtein(&given, &bare(name));
    let near = known.iter().copied().min_by_key(|name| distance(name))?;
    let is_near = distance(near) * 2 <= near.len().min(given.len());
    is_near.then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<(), String> {
        let known = ["amount", "providerRefundId", "proof"];
        let object = Object::parse(body.as_bytes()).expect("valid JSON");
        let nested = |inner: &Object<'_>| inner.expect_only(&["text", "providerRefundId"]);
        object.expect_only(&known).and_then(|()| object.object("proof", nested).map(drop)).map_err(
            |invalid| format!("{}: {}", invalid.field.unwrap_or_default(), invalid.message),
        )
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level_with_a_hint_to_the_nearest() {
        assert_eq!(check(r#"{"amount": 1, "proof": {"text": "a"}}"#), Ok(()));
        assert_eq!(check(r#"{"proof": null}"#), Ok(()));
        for (body, field, hint) in [
            (r#"{"amuont": 1}"#, "amuont", Some("did you mean amount?")),
            (r#"{"Amount": 1}"#, "Amount", Some("did you mean amount?")),
            (r#"{"provider_refund_id": 1}"#, "provider_refund_id", Some("providerRefundId?")),
            (r#"{"shoeSize": 1}"#, "shoeSize", None),
            (r#"{"": 1}"#, "", None),
            (r#"{"proof": {"txt": 1}}"#, "proof.txt", Some("did you mean text?")),
            (r#"{"proof": {"amount": 1}}"#, "proof.amount", None),
        ] {
            let message = check(body).expect_err(body);
            assert!(message.starts_with(&format!("{field}: there is no field")), "{message}");
            match hint {
                Some(hint) => assert!(message.contains(hint), "{message}"),
                None => assert!(!message.contains("did you mean"), "{message}"),
            }
        }
    }

    #[test]
    fn where_no_field_is_read_each_is_refused() {
        let object = Object::parse(br#"{"amount": 1}"#).expect("valid JSON");
        let invalid = object.expect_only(&[]).expect_err("an unknown field");
        assert!(invalid.message.contains("no field is read here"), "{}", invalid.message);
        assert_eq!(Object::parse(b"{}").expect("valid JSON").expect_only(&[]), Ok(()));
    }

    #[test]
    fn what_is_wrong_inside_is_named_by_its_path() {
        for (body, message) in [
            (r#"{"proof": 5}"#, "proof: proof must be an object"),
            (r#"{"proof": []}"#, "proof: proof must be an object"),
            (
                r#"{"proof": {"text": 1, "text": 2}}"#,
                "proof.text: \"text\" appears more than once; give each field once",
            ),
        ] {
            assert_eq!(check(body), Err(message.to_owned()));
        }
    }
}
