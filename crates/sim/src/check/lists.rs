//! Lists that transactions append to, after Elle (Kingsbury and Alvaro, 2020).
//!
//! Each read of a list shows the order of the appends before it. From that come the dependencies between transactions: *ww*, one appended after
//! the other; *wr*, one read what the other appended; *rw*, one read a list that the other then appended to. Snapshot isolation forbids a circle
//! without two rw edges in a row: G0 (ww only), G1c (ww and wr), G-single (rw edges, none next to another: a read of half a transaction, and
//! the lost update, with one rw and one ww). A circle with two of them side by side is write skew, which it allows.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_txn::TxnKind;

use super::Finding;
use crate::history::{Outcome, Txn};

type Edges = BTreeMap<usize, BTreeSet<(usize, &'static str)>>;

pub(super) fn check(txns: &[Txn]) -> Result<(), Finding> {
    let orders = orders(txns)?;
    for (key, order) in &orders {
        check_elements(txns, key, order)?;
    }
    let (forward, anti) = dependencies(txns, &orders);
    let Some(circle) = circle(&forward, &anti) else { return Ok(()) };
    let keys = circle.iter().flat_map(|(number, _)| txns[*number].writes.keys().cloned()).collect();
    let kinds: Vec<&str> = circle.iter().map(|(_, kind)| *kind).collect();
    let name = match (&kinds[..], kinds.contains(&"rw"), kinds.contains(&"wr")) {
        // One read what the other overwrote, and then wrote over that.
        (["rw", "ww"] | ["ww", "rw"], ..) => "lost update",
        (_, true, _) => "G-single",
        (_, false, true) => "G1c",
        (_, false, false) => "G0",
    };
    Err(Finding { text: format!("{name}: the transactions {circle:?} depend on each other"), keys })
}

fn elements(list: &str) -> Vec<&str> {
    list.split(' ').filter(|element| !element.is_empty()).collect()
}

fn appender(element: &str) -> usize {
    element.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// Every list that was seen of a key.
fn seen(txns: &[Txn]) -> impl Iterator<Item = (usize, &String, &str)> {
    txns.iter().enumerate().flat_map(|(number, txn)| {
        let values = txn.reads.iter().chain(&txn.locked);
        values.map(move |(key, value)| (number, key, value.as_deref().unwrap_or_default()))
    })
}

/// The longest list seen of each key; all others must be beginnings of it.
fn orders(txns: &[Txn]) -> Result<BTreeMap<&String, Vec<&str>>, Finding> {
    let mut orders: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (_, key, list) in seen(txns) {
        let order = orders.entry(key).or_default();
        let list = elements(list);
        if list.len() > order.len() {
            *order = list;
        }
    }
    for (number, key, list) in seen(txns) {
        if !orders[key].starts_with(&elements(list)) {
            let text =
                format!("transaction {number} saw {list:?}, which is no beginning of {:?}", orders[key]);
            return Err(Finding::of(key, text));
        }
    }
    Ok(orders)
}

/// No element twice (a doubled append), none of a transaction that was refused (G1a), none without the last of its transaction (G1b).
fn check_elements(txns: &[Txn], key: &str, order: &[&str]) -> Result<(), Finding> {
    let distinct: BTreeSet<&&str> = order.iter().collect();
    if distinct.len() < order.len() {
        return Err(Finding::of(key, format!("an append was made twice: {order:?}")));
    }
    for element in order {
        let Some(txn) = txns.get(appender(element)) else {
            return Err(Finding::of(key, format!("nobody appended {element}: {order:?}")));
        };
        if txn.outcome == Outcome::Aborted {
            return Err(Finding::of(key, format!("G1a: {element} was refused and is there: {txn:?}")));
        }
    }
    for (number, of, list) in seen(txns) {
        let Some(last) = elements(list).last().copied().filter(|_| of == key) else { continue };
        let finals = txns[appender(last)].writes.get(key).and_then(Option::as_deref).map(elements);
        if finals.is_none_or(|list| list.last() != Some(&last)) {
            return Err(Finding::of(key, format!("G1b: transaction {number} saw half a change: {list:?}")));
        }
    }
    Ok(())
}

/// The edges ww and wr, and the edges rw.
fn dependencies(txns: &[Txn], orders: &BTreeMap<&String, Vec<&str>>) -> (Edges, Edges) {
    let (mut forward, mut anti) = (Edges::new(), Edges::new());
    let add = |edges: &mut Edges, from: usize, to: usize, kind: &'static str| {
        if from != to {
            edges.entry(from).or_default().insert((to, kind));
        }
    };
    for order in orders.values() {
        for pair in order.windows(2) {
            add(&mut forward, appender(pair[0]), appender(pair[1]), "ww");
        }
    }
    for (number, key, list) in seen(txns) {
        let list = elements(list);
        if let Some(last) = list.last() {
            add(&mut forward, appender(last), number, "wr");
        }
        // A pessimistic transaction writes at later moments than it reads: who overwrites what it read need not come after it.
        if let Some(next) = orders[key].get(list.len())
            && txns[number].kind == TxnKind::Optimistic
        {
            add(&mut anti, number, appender(next), "rw");
        }
    }
    (forward, anti)
}

/// A circle in which no two rw edges follow each other: one over the edges ww and wr, each with an rw edge behind it or not.
fn circle(forward: &Edges, anti: &Edges) -> Option<Vec<(usize, &'static str)>> {
    let nodes: BTreeSet<usize> = forward.keys().copied().collect();
    nodes.into_iter().find_map(|start| circle_through(start, forward, anti))
}

fn circle_through(start: usize, forward: &Edges, anti: &Edges) -> Option<Vec<(usize, &'static str)>> {
    // Where one comes from, by the transaction and whether the edge to it was an rw.
    let mut from: BTreeMap<(usize, bool), (usize, bool, &'static str)> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([(start, false)]);
    while let Some((node, after_rw)) = queue.pop_front() {
        let empty = BTreeSet::new();
        let steps = forward.get(&node).unwrap_or(&empty).iter();
        let jumps = anti.get(&node).filter(|_| !after_rw && node != start).unwrap_or(&empty).iter();
        for (to, kind) in steps.chain(jumps) {
            let place = (*to, *kind == "rw");
            if from.contains_key(&place) {
                continue;
            }
            from.insert(place, (node, after_rw, *kind));
            if *to == start {
                return Some(way_back(start, place, &from));
            }
            queue.push_back(place);
        }
    }
    None
}

fn way_back(
    start: usize,
    mut place: (usize, bool),
    from: &BTreeMap<(usize, bool), (usize, bool, &'static str)>,
) -> Vec<(usize, &'static str)> {
    let mut way = Vec::new();
    loop {
        let (node, after_rw, kind) = from[&place];
        way.push((node, kind));
        if node == start {
            way.reverse();
            return way;
        }
        place = (node, after_rw);
    }
}
