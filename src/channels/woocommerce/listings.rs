//! The catalogue: pages of products, and behind each page the variations of those that have some.

use serde::Deserialize;
use serde_json::Value;

use super::{Address, Listed, Woocommerce, at_most_a_page, joined};
use crate::{
    channels::decode::{non_empty, rows, units},
    domain::{
        CallError, ChannelLocation, LevelReading, ListingReading, ListingsPage, Meter, PageToken, Place,
        listing::Writable,
    },
};

const PRODUCT_FIELDS: &str = "id,name,sku,type,status,manage_stock,stock_quantity,variations";
const VARIATION_FIELDS: &str = "id,name,sku,status,manage_stock,stock_quantity";

#[derive(Deserialize)]
struct RawListing {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    sku: Option<String>,
    #[serde(default)]
    status: String,
    /// `true`, `false`, and `"parent"` for a variation that sells its parent's units.
    manage_stock: Value,
    stock_quantity: Value,
    #[serde(default)]
    variations: Vec<u64>,
}

impl Woocommerce {
    /// A page of products, or of the variations of one of them. Drafts and private ones count, binned ones don't.
    pub(super) async fn listings(
        &self,
        page: Option<&PageToken>,
        meter: &mut Meter,
    ) -> Result<ListingsPage, CallError> {
        let at = page.map_or(Ok(Position::first()), Position::parse)?;
        let parent = at.parents.first().copied();
        let number = if parent.is_some() { at.variations_page } else { at.products_page }.to_string();
        let query = [
            ("per_page", "100"),
            ("page", number.as_str()),
            ("orderby", "id"),
            ("order", "asc"),
            ("status", "any"),
            ("_fields", if parent.is_some() { VARIATION_FIELDS } else { PRODUCT_FIELDS }),
        ];
        let listed = self.list(&Address::collection(parent), &query, meter).await?;
        let next = at.next(&listed).map(|next| next.token());
        let mut rejected = Vec::new();
        let listings = rows(listed.rows, "product", &mut rejected, |raw| reading(raw, parent));
        Ok(ListingsPage { listings, next, rejected })
    }

    /// The numbers of these listings, all products or all variations of one product. Those gone are absent.
    pub(super) async fn levels(
        &self,
        places: &[Place],
        meter: &mut Meter,
    ) -> Result<Vec<LevelReading>, CallError> {
        at_most_a_page(places.len())?;
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let (parent, ids) = Address::of_one_group(places.iter().map(|place| &place.listing))?;
        let include = joined(&ids);
        let query = [
            ("include", include.as_str()),
            ("per_page", "100"),
            ("status", "any"),
            ("_fields", "id,manage_stock,stock_quantity"),
        ];
        let listed = self.list(&Address::collection(parent), &query, meter).await?;
        let reading = |(place, id): (&Place, &u64)| {
            let row = listed.rows.iter().find(|row| row["id"].as_u64() == Some(*id))?;
            let quantity = units(&row["stock_quantity"]).unwrap_or(None);
            Some(LevelReading { place: place.clone(), quantity })
        };
        Ok(places.iter().zip(&ids).filter_map(reading).collect())
    }
}

fn reading(raw: RawListing, parent: Option<u64>) -> Result<ListingReading, String> {
    let id = Address { parent, id: raw.id }.listing();
    let place = Place { listing: id.clone(), location: ChannelLocation::only() };
    let writable = match (raw.status.as_str(), &raw.manage_stock) {
        ("trash", _) => Writable::Ended,
        (_, Value::Bool(true)) => Writable::Yes,
        (_, Value::Bool(false)) if raw.variations.is_empty() => Writable::Untracked,
        (_, Value::Bool(false)) => Writable::Computed,
        (_, Value::String(text)) if text == "parent" => Writable::Computed,
        (_, other) => return Err(format!("manage_stock is {other}")),
    };
    Ok(ListingReading {
        id,
        channel_sku: non_empty(raw.sku),
        title: raw.name,
        writable,
        group: parent.map(|parent| parent.to_string()).unwrap_or_default(),
        levels: vec![LevelReading { place, quantity: units(&raw.stock_quantity)? }],
    })
}

/// Where a scan stands: the products page to read next, the products whose variations come before it, and the number
/// of products when the scan last looked. In a page token `page/total/variations page/parent,parent`.
#[derive(Debug, PartialEq, Eq)]
struct Position {
    /// 0: no products page is left.
    products_page: usize,
    total: usize,
    variations_page: usize,
    parents: Vec<u64>,
}

impl Position {
    fn first() -> Self {
        Self { products_page: 1, total: 0, variations_page: 1, parents: Vec::new() }
    }

    fn parse(token: &PageToken) -> Result<Self, CallError> {
        let parts = || {
            let mut parts = token.as_str().splitn(4, '/');
            let mut number = || parts.next()?.parse().ok();
            let (products_page, total, variations_page) = (number()?, number()?, number()?);
            let parents = parts.next()?.split(',').filter(|p| !p.is_empty());
            let parents = parents.map(|p| p.parse().ok()).collect::<Option<Vec<_>>>()?;
            Some(Self { products_page, total, variations_page, parents })
        };
        parts().ok_or_else(|| CallError::Rejected {
            detail: "a page token that this channel never made".to_owned(),
        })
    }

    fn token(&self) -> PageToken {
        let Self { products_page, total, variations_page, parents } = self;
        PageToken::new(format!("{products_page}/{total}/{variations_page}/{}", joined(parents)))
    }

    /// Behind the page just read; `None` at the end.
    fn next(mut self, listed: &Listed) -> Option<Self> {
        if self.parents.is_empty() {
            self.after_products(listed);
        } else if listed.more_behind(self.variations_page) {
            self.variations_page += 1;
        } else {
            self.parents.remove(0);
            self.variations_page = 1;
        }
        (self.products_page > 0 || !self.parents.is_empty()).then_some(self)
    }

    fn after_products(&mut self, listed: &Listed) {
        let parents =
            listed.rows.iter().filter(|row| row["variations"].as_array().is_some_and(|v| !v.is_empty()));
        self.parents = parents.filter_map(|row| row["id"].as_u64()).collect();
        let total = listed.total.unwrap_or(0);
        if total < self.total && self.products_page > 1 {
            // Products were deleted, the later ones moved up, and some of them to a page already read.
            self.products_page -= 1;
        } else if listed.more_behind(self.products_page) {
            self.products_page += 1;
        } else {
            self.products_page = 0;
        }
        self.total = total;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::MAX_ROWS, *};

    fn page(rows: Vec<Value>, total: usize) -> Listed {
        Listed { rows, total: Some(total), pages: Some(total.div_ceil(MAX_ROWS)) }
    }

    #[test]
    fn a_scan_reads_the_variations_of_a_page_before_the_next_page() {
        let products = vec![json!({ "id": 1, "variations": [] }), json!({ "id": 2, "variations": [5] })];
        let at = Position::first().next(&page(products, 150)).unwrap();
        assert_eq!((at.products_page, at.parents.as_slice()), (2, &[2][..]));
        assert_eq!(Position::parse(&at.token()).unwrap(), at);
        let at = at.next(&page(vec![], 101)).unwrap();
        assert_eq!((at.variations_page, at.parents.as_slice()), (2, &[2][..]));
        let at = at.next(&page(vec![], 101)).unwrap();
        assert_eq!((at.products_page, at.variations_page, at.parents.len()), (2, 1, 0));
        assert_eq!(at.next(&page(vec![], 150)), None);
    }

    #[test]
    fn d11_products_deleted_during_a_scan_make_it_step_back_a_page() {
        let at = Position { products_page: 3, total: 450, variations_page: 1, parents: vec![] };
        let at = at.next(&page(vec![], 448)).unwrap();
        assert_eq!((at.products_page, at.total), (2, 448));
        let at = at.next(&page(vec![], 448)).unwrap();
        assert_eq!(at.products_page, 3);
    }
}
