//! From available to target: buffer, share, cap, minimum, and which rule wins.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ChannelId, Sku, Units};

/// A share of something in hundredths of a percent, 0 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u16);

impl Percent {
    /// Everything.
    pub const ALL: Self = Self(10_000);

    /// From hundredths of a percent; `None` above 100 %.
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= 10_000 { Some(Self(hundredths)) } else { None }
    }

    /// In hundredths of a percent.
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// This share of `units`, rounded down.
    pub fn of_rounded_down(self, units: Units) -> Units {
        Units::of(self.scaled(units).div_euclid(10_000))
    }

    /// This share of `units`, rounded up.
    pub fn of_rounded_up(self, units: Units) -> Units {
        Units::of(-(-self.scaled(units)).div_euclid(10_000))
    }

    fn scaled(self, units: Units) -> i64 {
        units.get().saturating_mul(i64::from(self.0))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(100) {
            write!(f, "{}%", self.0 / 100)
        } else {
            write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
        }
    }
}

/// Units held back from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buffer {
    /// This many.
    Units(Units),
    /// This share of what is available, rounded up: against the seller's risk.
    Percent(Percent),
    /// What the other channels may sell before this one shows it.
    Auto(AutoBuffer),
}

/// How a buffer is worked out from demand ([`super::demand`]), and what that has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoBuffer {
    /// How many lost sales one oversell is worth.
    pub oversell_cost: u32,
    /// Never more than this.
    pub most: Units,
    /// What is held back by now. A rule knows nothing of it: there it is 0, the most that is rightly shown.
    pub held: Units,
}

impl AutoBuffer {
    /// The default of [`AutoBuffer::oversell_cost`]. A lost sale costs its margin, a third of the price perhaps. An
    /// oversell costs that sale as well, the fee and the postage of a refund, and the time to write to the shopper; on a
    /// marketplace it counts towards the cancellation rate (Amazon wants less than 2.5 %) that a listing's rank, or the
    /// account, hangs on. Twenty sales is what that comes to for a small shop; at twenty a buffer is held where one
    /// time in twenty another channel sells before this one knows, which almost no SKU does.
    pub const OVERSELL_COST: u32 = 20;
    /// The default of [`AutoBuffer::most`].
    pub const MOST: Units = Units::of(10);
}

impl Default for AutoBuffer {
    fn default() -> Self {
        Self { oversell_cost: Self::OVERSELL_COST, most: Self::MOST, held: Units::ZERO }
    }
}

impl Buffer {
    /// How many units this holds back out of `available`; never negative.
    pub fn held_back(self, available: Units) -> Units {
        match self {
            Self::Units(units) => units.at_least_zero(),
            Self::Percent(percent) => percent.of_rounded_up(available.at_least_zero()),
            Self::Auto(auto) => auto.held.min(auto.most).at_least_zero(),
        }
    }
}

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(units) => units.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
            Self::Auto(_) => f.write_str("auto"),
        }
    }
}

/// How much of what is available one channel may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Held back.
    pub buffer: Buffer,
    /// At most this share, rounded down.
    pub share: Percent,
    /// At most this many.
    pub cap: Option<Units>,
    /// Below this, show 0.
    pub min_quantity: Units,
    /// When no more than this are available, show 0: other channels show the last ones.
    #[serde(default)]
    pub last_units: Units,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            buffer: Buffer::Units(Units::ZERO),
            share: Percent::ALL,
            cap: None,
            min_quantity: Units::ZERO,
            last_units: Units::ZERO,
        }
    }
}

/// How a target came about, step by step: what `explain` prints and a push records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calculation {
    /// Available less everything held as shadow; may be negative.
    pub available: Units,
    /// The rules applied.
    pub policy: Policy,
    /// What the buffer came to.
    pub buffer_units: Units,
    /// `available` less the buffer.
    pub after_buffer: Units,
    /// What the share allows.
    pub after_share: Units,
    /// What the channel should show.
    pub target: Units,
}

impl Policy {
    /// What a channel should show of `available` units:
    /// `min(cap, floor(share * available), available - buffer)`, at least 0, and 0 below `min_quantity` or
    /// where only `last_units` are left.
    pub fn calculate(&self, available: Units) -> Calculation {
        let buffer_units = self.buffer.held_back(available);
        let after_buffer = available - buffer_units;
        let after_share = self.share.of_rounded_down(available.at_least_zero());
        let mut target = after_buffer.min(after_share).at_least_zero();
        if let Some(cap) = self.cap {
            target = target.min(cap.at_least_zero());
        }
        if target < self.min_quantity || available <= self.last_units {
            target = Units::ZERO;
        }
        Calculation { available, policy: *self, buffer_units, after_buffer, after_share, target }
    }

    /// Only the result of [`Policy::calculate`].
    pub fn target(&self, available: Units) -> Units {
        self.calculate(available).target
    }
}

/// A rule of the configuration: the fields it sets, and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// Only this channel; `None`: every channel.
    pub channel: Option<ChannelId>,
    /// Only SKUs that match; `None`: every SKU.
    pub sku: Option<SkuPattern>,
    /// See [`Policy::buffer`].
    pub buffer: Option<Buffer>,
    /// See [`Policy::share`].
    pub share: Option<Percent>,
    /// See [`Policy::cap`].
    pub cap: Option<Units>,
    /// See [`Policy::min_quantity`].
    pub min_quantity: Option<Units>,
    /// See [`AutoBuffer::oversell_cost`].
    pub oversell_cost: Option<u32>,
    /// See [`AutoBuffer::most`].
    pub buffer_max: Option<Units>,
    /// See [`Policy::last_units`].
    pub last_units: Option<Units>,
    /// The channels that show the last units all the same.
    pub last_units_on: Option<Vec<ChannelId>>,
}

/// A SKU, or a pattern of SKUs in which `*` stands for any run of characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkuPattern(String);

impl SkuPattern {
    /// A pattern from the configuration.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names exactly one SKU.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Whether the SKU matches, byte for byte outside the wildcards.
    pub fn matches(&self, sku: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), sku.chars().collect());
        let (mut p, mut t, mut star) = (0, 0, None);
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((at, from)) => {
                        star = Some((at, from + 1));
                        p = at + 1;
                        t = from + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }

    fn literal_length(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '*' | '?')).count()
    }
}

/// All policy rules. For each field the most specific rule that sets it wins: an exact SKU before a pattern, a longer
/// pattern before a shorter one, a SKU before a channel, both before one, the later of two equals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    rules: Vec<PolicyRule>,
    follow_demand: bool,
}

impl Policies {
    /// Sorts the rules from general to specific.
    pub fn new(mut rules: Vec<PolicyRule>) -> Self {
        rules.sort_by_key(|rule| {
            let sku = rule.sku.as_ref();
            (
                sku.is_some(),
                sku.is_some_and(SkuPattern::is_exact),
                sku.map_or(0, SkuPattern::literal_length),
                rule.channel.is_some(),
            )
        });
        let follow_demand = rules.iter().any(|rule| matches!(rule.buffer, Some(Buffer::Auto(_))));
        Self { rules, follow_demand }
    }

    /// The policy for one SKU (the channel's SKU for a bundle) on one channel.
    pub fn resolve(&self, channel: &ChannelId, sku: &str) -> Policy {
        let mut policy = Policy::default();
        let mut auto = AutoBuffer::default();
        let mut last_units_on: &[ChannelId] = &[];
        for rule in &self.rules {
            let fits = rule.channel.as_ref().is_none_or(|c| c == channel)
                && rule.sku.as_ref().is_none_or(|pattern| pattern.matches(sku));
            if fits {
                policy.buffer = rule.buffer.unwrap_or(policy.buffer);
                policy.share = rule.share.unwrap_or(policy.share);
                policy.cap = rule.cap.or(policy.cap);
                policy.min_quantity = rule.min_quantity.unwrap_or(policy.min_quantity);
                if let Some(units) = rule.last_units {
                    policy.last_units = units;
                    // A rule for this very channel knows what it wants here.
                    last_units_on = if rule.channel.is_some() { &[] } else { last_units_on };
                }
                auto.oversell_cost = rule.oversell_cost.unwrap_or(auto.oversell_cost);
                auto.most = rule.buffer_max.unwrap_or(auto.most);
                last_units_on = rule.last_units_on.as_deref().unwrap_or(last_units_on);
            }
        }
        if let Buffer::Auto(settings) = &mut policy.buffer {
            *settings = auto;
        }
        if last_units_on.contains(channel) {
            policy.last_units = Units::ZERO;
        }
        policy
    }

    /// Whether any rule wants a buffer that follows demand.
    pub const fn follow_demand(&self) -> bool {
        self.follow_demand
    }
}

/// What a listing made of `components` (units per piece, available) could be sold: as many as its scarcest part allows.
/// A listing without components can't be sold at all.
pub fn listing_available(components: impl IntoIterator<Item = (Units, Units)>) -> Units {
    components
        .into_iter()
        .map(|(per_piece, available)| available.lots_of(per_piece))
        .min()
        .unwrap_or(Units::ZERO)
}

/// Whether `sku` is one of the SKUs that policy rules name exactly; used to point out rules that match nothing.
pub fn names_exactly(rule: &PolicyRule, sku: &Sku) -> bool {
    rule.sku.as_ref().is_some_and(|pattern| pattern.is_exact() && pattern.as_str() == sku.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(channel: Option<&str>, sku: Option<&str>, buffer: i64) -> PolicyRule {
        PolicyRule {
            channel: channel.map(ChannelId::new),
            sku: sku.map(SkuPattern::new),
            buffer: Some(Buffer::Units(Units::of(buffer))),
            ..PolicyRule::default()
        }
    }

    #[test]
    fn the_most_specific_rule_wins_and_leaves_other_fields_alone() {
        let mut exact = rule(None, Some("GIFT-1"), 7);
        exact.buffer = None;
        exact.cap = Some(Units::of(3));
        let policies = Policies::new(vec![
            exact,
            rule(Some("ebay"), Some("GIFT-*"), 5),
            rule(None, Some("GIFT-*"), 4),
            rule(Some("ebay"), None, 2),
            rule(None, None, 1),
        ]);
        let of = |channel: &str, sku: &str| policies.resolve(&ChannelId::new(channel), sku);
        assert_eq!(of("web", "MUG").buffer, Buffer::Units(Units::of(1)));
        assert_eq!(of("ebay", "MUG").buffer, Buffer::Units(Units::of(2)));
        assert_eq!(of("web", "GIFT-1").buffer, Buffer::Units(Units::of(4)));
        assert_eq!(of("ebay", "GIFT-1").buffer, Buffer::Units(Units::of(5)));
        assert_eq!(of("ebay", "GIFT-1").cap, Some(Units::of(3)));
    }

    #[test]
    fn percentages_round_against_the_sellers_risk() {
        let five = Percent::from_hundredths(500).unwrap();
        let policy = Policy { buffer: Buffer::Percent(five), ..Policy::default() };
        assert_eq!(policy.target(Units::of(10)), Units::of(9));
        let sixty = Percent::from_hundredths(6_000).unwrap();
        let policy = Policy { share: sixty, ..Policy::default() };
        assert_eq!(policy.target(Units::of(9)), Units::of(5));
    }

    #[test]
    fn the_last_units_are_shown_only_where_the_rules_say() {
        let mut general = rule(None, None, 0);
        general.last_units = Some(Units::of(2));
        general.last_units_on = Some(vec![ChannelId::new("web")]);
        let mut gift = rule(None, Some("GIFT-*"), 0);
        gift.last_units_on = Some(vec![ChannelId::new("ebay")]);
        let policies = Policies::new(vec![general, gift]);
        let shows = |channel: &str, sku: &str, available: i64| {
            policies.resolve(&ChannelId::new(channel), sku).target(Units::of(available)).get()
        };
        assert_eq!([shows("web", "MUG", 2), shows("ebay", "MUG", 2), shows("ebay", "MUG", 3)], [2, 0, 3]);
        assert_eq!([shows("web", "GIFT-1", 1), shows("ebay", "GIFT-1", 1)], [0, 1]);
    }

    #[test]
    fn an_automatic_buffer_takes_its_knobs_from_wherever_they_are_set_and_holds_nothing_by_itself() {
        let mut channel = rule(Some("ebay"), None, 0);
        channel.buffer = Some(Buffer::Auto(AutoBuffer::default()));
        let mut general = rule(None, None, 3);
        general.oversell_cost = Some(100);
        let policies = Policies::new(vec![channel, general]);
        assert!(policies.follow_demand());
        let ebay = policies.resolve(&ChannelId::new("ebay"), "MUG");
        let expected = AutoBuffer { oversell_cost: 100, most: AutoBuffer::MOST, held: Units::ZERO };
        assert_eq!(ebay.buffer, Buffer::Auto(expected));
        assert_eq!(ebay.target(Units::of(7)), Units::of(7));
        let held = Buffer::Auto(AutoBuffer { held: Units::of(12), ..expected });
        assert_eq!(held.held_back(Units::of(50)), AutoBuffer::MOST);
        assert_eq!(policies.resolve(&ChannelId::new("web"), "MUG").buffer, Buffer::Units(Units::of(3)));
    }

    #[test]
    fn patterns_match_whole_skus() {
        let pattern = |p: &str, s: &str| SkuPattern::new(p).matches(s);
        assert!(pattern("GIFT-*", "GIFT-"));
        assert!(pattern("*-RED-?", "MUG-RED-L"));
        assert!(!pattern("GIFT-*", "AGIFT-1"));
        assert!(!pattern("MUG", "MUG1"));
    }

    proptest! {
        #[test]
        fn a_target_is_never_negative_nor_above_what_is_available(
            available in -100_i64..1_000, buffer in 0_i64..50, share in 0_u16..=10_000,
            cap in proptest::option::of(0_i64..500), min in 0_i64..20, percent in any::<bool>(), last in 0_i64..5,
        ) {
            let share = Percent::from_hundredths(share).unwrap();
            let policy = Policy {
                buffer: if percent { Buffer::Percent(share) } else { Buffer::Units(Units::of(buffer)) },
                share,
                cap: cap.map(Units::of),
                min_quantity: Units::of(min),
                last_units: Units::of(last),
            };
            let target = policy.target(Units::of(available));
            prop_assert!(target >= Units::ZERO && target.get() <= available.max(0));
            prop_assert!(target == Units::ZERO || target.get() >= min);
            prop_assert!(policy.target(Units::of(available + 1)) >= target);
        }

        #[test]
        fn a_pattern_without_wildcards_matches_only_itself(a in "[a-z]{1,6}", b in "[a-z]{1,6}") {
            prop_assert_eq!(SkuPattern::new(a.clone()).matches(&b), a == b);
        }
    }
}
