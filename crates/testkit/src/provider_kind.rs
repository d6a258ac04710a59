//! A kind of provider for tests of provider accounts.

use providers::{Field, ProviderKind};

/// A provider with one setting and two secrets.
pub const TEST_PSP: ProviderKind = ProviderKind {
    name: "test_psp",
    label: "Test PSP",
    config_fields: &[
        Field {
            name: "merchant_account",
            required: true,
            secret: false,
            help: "the name of the merchant's account",
        },
        Field { name: "api_key", required: true, secret: true, help: "a key of the API" },
        Field {
            name: "webhook_secret",
            required: true,
            secret: true,
            help: "the secret that signs webhooks",
        },
    ],
};
