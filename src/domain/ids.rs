//! Names of things: channels, listings, orders, locations. Each is opaque text to all but its owner.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it stands.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A configured channel: the `web` of `[channels.web]`, `[a-z0-9_]+`.
    ChannelId
}
text_id! {
    /// A place where the seller keeps stock, by the name the seller gave it.
    LocationId
}
text_id! {
    /// A listing by the channel's own id, stable across renames of its SKU.
    ///
    /// Shopify: the numeric id of the inventory item. WooCommerce: `product` or `parent/variation`.
    ListingId
}
text_id! {
    /// A channel's own id of a location; empty where the channel keeps one number per listing.
    ChannelLocation
}
text_id! {
    /// An order by the channel's own id.
    OrderId
}
text_id! {
    /// A line of an order by the channel's own id, unique within the order.
    LineId
}
text_id! {
    /// Where the next page of a paged read starts; only the channel that made it knows what it means.
    PageToken
}

impl ChannelLocation {
    /// The only location of a channel that keeps one number per listing.
    pub fn only() -> Self {
        Self::new("")
    }
}

impl LocationId {
    /// The location used when the seller names none.
    pub const DEFAULT: &'static str = "main";
}
