//! Replay-proof: repeated, permuted and outdated snapshots leave the same balances, and the ledger verifies.

use proptest::{prelude::*, sample::Index};

use super::{Book, line, net, order};
use crate::domain::{CountBasis, LineNet, OrderSnapshot};

const SKUS: [&str; 4] = ["MUG", "TEA", "SET", "LATE"];

/// A history of orders: each a row of snapshots with rising update times.
fn histories() -> impl Strategy<Value = Vec<Vec<OrderSnapshot>>> {
    let nets = (0_i64..6, 0_i64..4, 0_i64..6, 0_i64..4).prop_map(|(o, c, s, r)| net(o, c, s, r));
    let lines = prop::collection::vec((0..SKUS.len(), nets), 0..3);
    let snapshots = prop::collection::vec(lines, 1..5);
    prop::collection::vec((0_i64..50, snapshots), 1..6).prop_map(|orders| {
        let orders = orders.into_iter().enumerate();
        orders.map(|(at, (created, snapshots))| history(at, 1_000 + created, snapshots)).collect()
    })
}

fn history(id: usize, created: i64, snapshots: Vec<Vec<(usize, LineNet)>>) -> Vec<OrderSnapshot> {
    let snapshots = snapshots.into_iter().enumerate();
    snapshots
        .map(|(step, lines)| {
            let lines = lines.into_iter().enumerate();
            let lines = lines.map(|(n, (sku, net))| line(&format!("{sku}-{n}"), SKUS[sku], net)).collect();
            let updated = created + i64::try_from(step).unwrap() * 10;
            order(&format!("{id}"), created, updated, lines)
        })
        .collect()
}

/// Counts that say something of the time before every order, at any point among the snapshots.
fn play(snapshots: &[OrderSnapshot], opening: &[(&str, i64, CountBasis)], counted_after: usize) -> Book {
    let book = Book::new();
    let count = || {
        for (sku, quantity, basis) in opening {
            book.operate(5_000, &super::count(sku, *quantity, *basis, 500)).unwrap();
        }
    };
    book.ledger.begin().unwrap();
    for (at, snapshot) in snapshots.iter().enumerate() {
        if at == counted_after {
            count();
        }
        book.order(if snapshot.id.as_str() < "3" { "web" } else { "site" }, snapshot);
    }
    if counted_after >= snapshots.len() {
        count();
    }
    book.ledger.commit().unwrap();
    book
}

fn balances(book: &Book) -> Vec<(String, i64, i64)> {
    let rows = book.ledger.stock().unwrap();
    rows.into_iter().map(|row| (row.sku, row.on_hand.get(), row.committed.get())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn repeated_permuted_and_outdated_snapshots_leave_the_same_balances(
        orders in histories(),
        extra in prop::collection::vec(any::<Index>(), 0..12),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..24),
        available in any::<bool>(),
        counted_after in any::<Index>(),
    ) {
        let basis = if available { CountBasis::Available } else { CountBasis::OnHand };
        let opening = [("MUG", 12, basis), ("TEA", 7, CountBasis::OnHand), ("LATE", 3, basis)];
        let straight: Vec<OrderSnapshot> = orders.into_iter().flatten().collect();
        let mut mixed = straight.clone();
        mixed.extend(extra.iter().map(|at| at.get(&straight).clone()));
        for (a, b) in &swaps {
            let (a, b) = (a.index(mixed.len()), b.index(mixed.len()));
            mixed.swap(a, b);
        }
        let counted_first = play(&straight, &opening, 0);
        let at = counted_after.index(mixed.len() + 1);
        let other = play(&mixed, &opening, at);
        counted_first.assert_sound();
        other.assert_sound();
        prop_assert_eq!(balances(&counted_first), balances(&other));
    }
}
