//! Hides what may be a secret in text that is about to be shown.

use strsim::damerau_levenshtein;

/// Beginnings that vendors give their credentials.
const VENDOR_PREFIXES: [&str; 7] = ["shpat_", "shpca_", "shppa_", "shpss_", "shptka_", "ck_", "cs_"];

/// The same text, byte for byte as long, with stars where a secret may stand: behind keys that are named, or nearly
/// named, like one, behind vendors' prefixes, and in the user part of an address.
pub(super) fn secrets(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, _) in text.match_indices('=') {
        let key = text[..at].trim_end().trim_end_matches(['"', '\'']);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let key = key.rsplit(|c| !word(c)).next().unwrap_or_default();
        let value = &text[at + 1..];
        if sounds_secret(key) && !value.trim_start().starts_with('{') {
            star(&mut bytes, at + 1, at + 1 + value_length(value));
        }
    }
    for prefix in VENDOR_PREFIXES {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            star(&mut bytes, at + prefix.len(), at + prefix.len() + length);
        }
    }
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == '/').unwrap_or(rest.len());
        if let Some(user) = rest[..end].rfind('@') {
            star(&mut bytes, at + 3, at + 3 + user);
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["token", "secret", "key", "passw"].iter().any(|word| key.contains(word))
        || ["token", "secret", "password"].iter().any(|word| damerau_levenshtein(word, &key) <= 2)
        || damerau_levenshtein("key", &key) == 1
}

/// To the end of the line, or of a text over several lines.
fn value_length(value: &str) -> usize {
    for quotes in ["\"\"\"", "'''"] {
        let start = value.len() - value.trim_start().len();
        if value[start..].starts_with(quotes) {
            let inner = start + quotes.len();
            return value[inner..].find(quotes).map_or(value.len(), |end| inner + end);
        }
    }
    value.find('\n').unwrap_or(value.len())
}

fn star(bytes: &mut [u8], from: usize, to: usize) {
    for byte in &mut bytes[from..to] {
        if !matches!(*byte, b'\n' | b'\r' | b' ' | b'"' | b'\'') {
            *byte = b'*';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_may_be_a_secret_is_shown() {
        for text in [
            "token = \"SESAME\"",
            "tokne = 'SESAME'",
            "kye = \"SESAME\"",
            "\"secret\" = \"SESAME",
            "api_key = SESAME",
            "web = { mode = \"push\", token = \"SESAME\" }",
            "secret = \"\"\"\nSESAME\n\"\"\"\n",
            "shop = \"shpat_SESAME\"",
            "url = \"https://ann:SESAME@shop.example/\"",
        ] {
            let shown = secrets(text);
            assert!(!shown.contains("SESAME"), "{shown}");
            assert_eq!(shown.len(), text.len());
        }
    }

    #[test]
    fn what_is_no_secret_stays_readable() {
        for text in
            ["token = { env = \"TOKEN\" }", "mode = \"push\"", "cap = 3", "url = \"https://a.example/\""]
        {
            assert_eq!(secrets(text), text);
        }
    }

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in "(token|key|mode| = |\"|ö|\n|://|@|ck_|.){0,20}") {
            let shown = secrets(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
