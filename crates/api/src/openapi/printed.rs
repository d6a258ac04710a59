//! Printed shapes: the struct that an answer prints, and beside each field the schema that the OpenAPI
//! document shows for it.

use super::schema::{Fields, Schema};
use crate::http::print::camel_case;

/// A printed object.
pub trait Printed {
    /// Describes the fields.
    fn fields() -> Fields;

    /// Describes the whole object.
    fn schema() -> Schema {
        Self::fields().closed()
    }
}

/// Declares a printed struct together with its schema.
///
/// ```text
/// printed! {
///     /// A thing.
///     #[serde(rename_all = "camelCase")]
///     pub struct ThingWire<'a> {
///         id: Shown<ThingId> = components::id(&[ThingId::PREFIX]),
///         secret?: &'a str = Schema::string().says("Only right after it was made."),
///     }
/// }
/// ```
///
/// declares the struct `ThingWire`, which implements `Serialize` and [`Printed`]. The doc comment is the
/// description in the document. `secret?: T` is an `Option<T>` that a `None` leaves out. Other attributes of the
/// struct stand behind `#[serde]`.
macro_rules! printed {
    (@schema $schema:expr, $type:ty) => { $schema };
    (
        $(#[doc = $doc:literal])*
        #[serde(rename_all = $case:literal)]
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $($field_vis:vis $field:ident $(?: $optional:ty)? $(: $type:ty)? = $schema:expr),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(serde::Serialize)]
        #[serde(rename_all = $case)]
        $(#[$meta])*
        $vis struct $name $(<$life>)? {
            $(
                $(#[serde(skip_serializing_if = "Option::is_none")] $field_vis $field: Option<$optional>,)?
                $($field_vis $field: $type,)?
            )+
        }

        impl $(<$life>)? $crate::openapi::Printed for $name $(<$life>)? {
            fn fields() -> $crate::openapi::Fields {
                let name = |field| $crate::openapi::wire_name(field, $case);
                $crate::openapi::Fields::of(concat!($($doc),*))
                $(
                    $(.may(
                        name(stringify!($field)),
                        $crate::openapi::printed!(@schema $schema, $optional),
                    ))?
                    $(.must(
                        name(stringify!($field)),
                        $crate::openapi::printed!(@schema $schema, $type),
                    ))?
                )+
            }
        }
    };
}
pub(crate) use printed;

/// The name under which a struct's field is printed; `case` is the `rename_all` of the struct.
pub fn wire_name(field: &str, case: &str) -> String {
    let field = field.trim_start_matches("r#");
    if case == "camelCase" { camel_case(field) } else { field.to_owned() }
}
