//! Shopify's search syntax in `query` arguments, as far as ids, times and plain values go:
//! `updated_at:>='2026-11-01T00:00:00Z' AND (id:1 OR id:2) -status:closed`.
//!
//! Doubt: a term that a connection doesn't know is ignored, as the vendor's does (with a warning in `extensions`, which
//! is left out here).

use crate::domain::UtcMs;

/// What a thing offers to the search: one value per key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// An id, compared as a number.
    Id(u64),
    /// An instant, compared in whole seconds.
    Time(UtcMs),
    /// Text, compared without case.
    Text(String),
}

/// Whether `query` matches a thing whose fields `field` looks up.
pub(super) fn matches(query: &str, field: &dyn Fn(&str) -> Option<Field>) -> bool {
    let tokens = tokens(query);
    let mut position = 0;
    any_of(&tokens, &mut position, field)
}

fn tokens(query: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for character in query.chars() {
        match (quote, character) {
            (Some(mark), _) if mark == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | ')') => {
                tokens.extend([std::mem::take(&mut word), character.to_string()]);
            }
            (None, _) if character.is_whitespace() => tokens.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    tokens.push(word);
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn any_of(tokens: &[String], position: &mut usize, field: &dyn Fn(&str) -> Option<Field>) -> bool {
    let mut found = all_of(tokens, position, field);
    while tokens.get(*position).is_some_and(|token| token.eq_ignore_ascii_case("or")) {
        *position += 1;
        found |= all_of(tokens, position, field);
    }
    found
}

fn all_of(tokens: &[String], position: &mut usize, field: &dyn Fn(&str) -> Option<Field>) -> bool {
    let mut all = true;
    while let Some(token) = tokens.get(*position) {
        if token == ")" || token.eq_ignore_ascii_case("or") {
            break;
        }
        *position += 1;
        if token.eq_ignore_ascii_case("and") {
            continue;
        }
        let negated = token.eq_ignore_ascii_case("not") || token == "-";
        let token = if negated {
            *position += 1;
            tokens.get(*position - 1).map_or("", String::as_str)
        } else {
            token
        };
        let found = if token == "(" {
            let inner = any_of(tokens, position, field);
            *position += 1;
            inner
        } else {
            term(token, field)
        };
        all &= found != negated;
    }
    all
}

fn term(token: &str, field: &dyn Fn(&str) -> Option<Field>) -> bool {
    if let Some(rest) = token.strip_prefix('-') {
        return !term(rest, field);
    }
    let Some((key, value)) = token.split_once(':') else { return true };
    let Some(field) = field(key) else { return true };
    let (sign, value) = [">=", "<=", ">", "<"]
        .into_iter()
        .find_map(|sign| value.strip_prefix(sign).map(|rest| (sign, rest)))
        .unwrap_or(("", value));
    let ordering = match field {
        Field::Id(id) => value.rsplit('/').next().and_then(|it| it.parse().ok()).map(|it: u64| id.cmp(&it)),
        Field::Time(at) => instant(value).map(|it| at.0.div_euclid(1000).cmp(&it.0.div_euclid(1000))),
        Field::Text(text) => Some(text.to_lowercase().cmp(&value.to_lowercase())),
    };
    ordering.is_some_and(|it| match sign {
        ">=" => it.is_ge(),
        "<=" => it.is_le(),
        ">" => it.is_gt(),
        "<" => it.is_lt(),
        _ => it.is_eq(),
    })
}

/// A time as the search takes it: RFC 3339, or without an offset (then UTC here).
fn instant(text: &str) -> Option<UtcMs> {
    UtcMs::parse_rfc3339(text)
        .or_else(|| UtcMs::parse_rfc3339(&format!("{text}Z")))
        .or_else(|| UtcMs::parse_rfc3339(&format!("{text}T00:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(key: &str) -> Option<Field> {
        match key {
            "id" => Some(Field::Id(7)),
            "updated_at" => UtcMs::parse_rfc3339("2026-11-22T10:00:00.700Z").map(Field::Time),
            "status" => Some(Field::Text("open".to_owned())),
            _ => None,
        }
    }

    #[test]
    fn terms_joined_by_blanks_and_by_or_select_as_written() {
        for (query, found) in [
            ("", true),
            ("id:7", true),
            ("id:8 OR id:7", true),
            ("id:8 OR id:9", false),
            ("(id:8 OR id:7) AND status:closed", false),
            ("id:>=7 id:<8 status:OPEN", true),
            ("-status:open", false),
            ("NOT (id:8 OR id:7)", false),
            ("updated_at:>='2026-11-22T10:00:00Z'", true),
            ("updated_at:>\"2026-11-22T10:00:00Z\"", false),
            ("updated_at:<2026-11-22T05:00:01-05:00", true),
            ("nobody_knows:1", true),
        ] {
            assert_eq!(matches(query, &order), found, "{query}");
        }
    }
}
