//! The order of inner joins, by expected sizes.
//!
//! A chain of inner joins is taken apart into its leaves and all their conditions, and put together anew: by dynamic
//! programming over sets of leaves (Moerkotte, Neumann: "Analysis of two existing and one new dynamic programming algorithm
//! for the generation of optimal bushy join trees", VLDB 2006, algorithm DPsub) for few leaves, greedily for many. The cost
//! of a tree is the number of rows all its joins give; sets without a condition between them are joined last.

use std::collections::BTreeSet;

use tidewater_expr::Expr;

use super::RuleContext;
use crate::PlanError;
use crate::estimate::Estimator;
use crate::expr_tools::{as_call, column_ids};
use crate::logical::{Join, Logical};
use crate::physical::JoinKind;

/// A set of leaves is a bit mask, so there are at most this many; further ones stay joined as they are.
const LEAVES_MAX: usize = 60;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    if is_movable(&plan) {
        let mut group = Group { leaves: Vec::new(), conditions: Vec::new() };
        group.collect(plan);
        for leaf in &mut group.leaves {
            let inner = apply(leaf.take(), cx)?;
            *leaf = inner;
        }
        return Ok(group.join(cx));
    }
    for child in plan.children_mut() {
        let inner = apply(child.take(), cx)?;
        *child = inner;
    }
    Ok(plan)
}

fn is_movable(plan: &Logical) -> bool {
    matches!(plan, Logical::Join(join) if join.kind == JoinKind::Inner && !join.straight && !join.apply)
}

struct Group {
    leaves: Vec<Logical>,
    conditions: Vec<Expr>,
}

/// A tree over some leaves.
#[derive(Clone)]
struct Candidate {
    cost: f64,
    rows: f64,
    /// The two sets it joins; none for a leaf.
    parts: Option<(u64, u64)>,
}

impl Group {
    fn collect(&mut self, plan: Logical) {
        match plan {
            Logical::Join(join) if self.leaves.len() < LEAVES_MAX - 1 && is_movable_join(&join) => {
                let join = *join;
                self.conditions.extend(join.conditions);
                self.collect(join.left);
                self.collect(join.right);
            }
            Logical::Selection { child, conditions } if is_movable(&child) => {
                self.conditions.extend(conditions);
                self.collect(*child);
            }
            other => self.leaves.push(other),
        }
    }

    /// Several equalities between the same two leaves are not independent when they make up a key of one: then each row
    /// of the other side meets at most one. The first of them gets the right share, the others keep everything.
    fn with_key_joins(
        &self,
        mut edges: Vec<(u64, f64)>,
        leaf_ids: &[BTreeSet<u64>],
        leaf_rows: &[f64],
    ) -> Vec<(u64, f64)> {
        for first in 0..edges.len() {
            let pair = edges[first].0;
            let same: Vec<usize> = (first..edges.len())
                .filter(|other| edges[*other].0 == pair && self.is_equality(*other))
                .collect();
            if pair.count_ones() != 2 || same.len() < 2 || same[0] != first {
                continue;
            }
            let joined: BTreeSet<u64> =
                same.iter().flat_map(|position| column_ids(&self.conditions[*position])).collect();
            for leaf in (0..self.leaves.len()).filter(|leaf| pair & (1 << leaf) != 0) {
                let own: BTreeSet<u64> = joined.intersection(&leaf_ids[leaf]).copied().collect();
                if !self.leaves[leaf].unique_keys().iter().any(|key| key.is_subset(&own)) {
                    continue;
                }
                let all = match &self.leaves[leaf] {
                    Logical::DataSource(source) => source.stats.row_count.max(1.0),
                    _ => leaf_rows[leaf],
                };
                let product: f64 = same.iter().map(|position| edges[*position].1).product();
                edges[first].1 = product.max(1.0 / all);
                for position in &same[1..] {
                    edges[*position].1 = 1.0;
                }
                break;
            }
        }
        edges
    }

    fn is_equality(&self, position: usize) -> bool {
        matches!(as_call(&self.conditions[position]), Some(("eq", [Expr::Column(_), Expr::Column(_)])))
    }

    fn join(self, cx: &mut RuleContext<'_>) -> Logical {
        let count = self.leaves.len();
        let mut estimator = Estimator::new(cx.eval);
        self.leaves.iter().for_each(|leaf| estimator.note_columns(leaf));
        let leaf_rows: Vec<f64> = self.leaves.iter().map(|leaf| estimator.rows(leaf).max(1.0)).collect();
        let leaf_ids: Vec<BTreeSet<u64>> = self.leaves.iter().map(Logical::column_ids).collect();
        // Each condition as the set of leaves it needs, and the share of rows it keeps.
        let edges: Vec<(u64, f64)> = self
            .conditions
            .iter()
            .map(|condition| {
                let ids = column_ids(condition);
                let leaves = (0..count).filter(|leaf| !leaf_ids[*leaf].is_disjoint(&ids));
                (leaves.fold(0, |set, leaf| set | 1 << leaf), estimator.selectivity(condition))
            })
            .collect();
        let edges = self.with_key_joins(edges, &leaf_ids, &leaf_rows);
        let tree = if count <= cx.vars.join_reorder_threshold.max(2) {
            exhaustive(&leaf_rows, &edges)
        } else {
            greedy(&leaf_rows, &edges)
        };
        let mut leaves: Vec<Option<Logical>> = self.leaves.into_iter().map(Some).collect();
        let mut conditions: Vec<Option<(Expr, u64)>> =
            self.conditions.into_iter().zip(edges).map(|(expr, (set, _))| Some((expr, set))).collect();
        build(&tree, &mut leaves, &mut conditions)
    }
}

fn is_movable_join(join: &Join) -> bool {
    join.kind == JoinKind::Inner && !join.straight && !join.apply
}

/// A finished tree.
enum Tree {
    Leaf(usize),
    Join(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn set(&self) -> u64 {
        match self {
            Tree::Leaf(leaf) => 1 << leaf,
            Tree::Join(left, right) => left.set() | right.set(),
        }
    }
}

/// The rows of a set: the product of its leaves' and of the conditions inside.
fn rows_of(set: u64, leaf_rows: &[f64], edges: &[(u64, f64)]) -> f64 {
    let product: f64 = leaf_rows
        .iter()
        .enumerate()
        .filter(|(leaf, _)| set & (1 << leaf) != 0)
        .map(|(_, rows)| rows)
        .product();
    let kept: f64 = edges
        .iter()
        .filter(|(needs, _)| needs & !set == 0 && needs.count_ones() > 1)
        .map(|(_, share)| share)
        .product();
    (product * kept).max(1.0)
}

fn connected(left: u64, right: u64, edges: &[(u64, f64)]) -> bool {
    edges.iter().any(|(needs, _)| needs & left != 0 && needs & right != 0 && needs & !(left | right) == 0)
}

fn exhaustive(leaf_rows: &[f64], edges: &[(u64, f64)]) -> Tree {
    let count = leaf_rows.len();
    let all = (1u64 << count) - 1;
    let mut best: Vec<Option<Candidate>> = vec![None; 1 << count];
    for leaf in 0..count {
        best[1 << leaf] = Some(Candidate { cost: 0.0, rows: leaf_rows[leaf], parts: None });
    }
    // Cartesian products only where nothing else joins the set.
    for set in 1..=all {
        if set.count_ones() < 2 {
            continue;
        }
        let rows = rows_of(set, leaf_rows, edges);
        let mut found: Option<(bool, Candidate)> = None;
        let mut left = (set - 1) & set;
        while left != 0 {
            let right = set & !left;
            if left > right
                && let (Some(l), Some(r)) = (&best[left as usize], &best[right as usize])
            {
                let is_connected = connected(left, right, edges);
                let cost = l.cost + r.cost + rows + 0.01 * (l.rows + r.rows);
                let better = match &found {
                    None => true,
                    Some((was, candidate)) => (!is_connected, cost) < (!*was, candidate.cost),
                };
                if better {
                    // The smaller side on the right, where hash joins build.
                    let parts = if l.rows >= r.rows { (left, right) } else { (right, left) };
                    found = Some((is_connected, Candidate { cost, rows, parts: Some(parts) }));
                }
            }
            left = (left - 1) & set;
        }
        best[set as usize] = found.map(|(_, candidate)| candidate);
    }
    fn tree(set: u64, best: &[Option<Candidate>]) -> Tree {
        match best[set as usize].as_ref().and_then(|candidate| candidate.parts) {
            Some((left, right)) => Tree::Join(Box::new(tree(left, best)), Box::new(tree(right, best))),
            None => Tree::Leaf(set.trailing_zeros() as usize),
        }
    }
    tree(all, &best)
}

/// Joins the pair that gives the fewest rows, again and again.
fn greedy(leaf_rows: &[f64], edges: &[(u64, f64)]) -> Tree {
    let mut trees: Vec<Tree> = (0..leaf_rows.len()).map(Tree::Leaf).collect();
    while trees.len() > 1 {
        let mut found: Option<(bool, f64, usize, usize)> = None;
        for i in 0..trees.len() {
            for j in i + 1..trees.len() {
                let (left, right) = (trees[i].set(), trees[j].set());
                let apart = !connected(left, right, edges);
                let rows = rows_of(left | right, leaf_rows, edges);
                if found.is_none_or(|(was_apart, was, _, _)| (apart, rows) < (was_apart, was)) {
                    found = Some((apart, rows, i, j));
                }
            }
        }
        let Some((_, _, i, j)) = found else { break };
        let right = trees.remove(j);
        let left = trees.remove(i);
        let larger_left = rows_of(left.set(), leaf_rows, edges) >= rows_of(right.set(), leaf_rows, edges);
        let (left, right) = if larger_left { (left, right) } else { (right, left) };
        trees.push(Tree::Join(Box::new(left), Box::new(right)));
    }
    trees.pop().unwrap_or(Tree::Leaf(0))
}

/// The joins of a tree; each condition goes to the lowest join that has its columns.
fn build(tree: &Tree, leaves: &mut [Option<Logical>], conditions: &mut [Option<(Expr, u64)>]) -> Logical {
    match tree {
        Tree::Leaf(leaf) => leaves[*leaf].take().expect("each leaf stands in the tree once"),
        Tree::Join(left, right) => {
            let set = tree.set();
            let left = build(left, leaves, conditions);
            let right = build(right, leaves, conditions);
            let own = conditions
                .iter_mut()
                .filter(|condition| condition.as_ref().is_some_and(|(_, needs)| needs & !set == 0))
                .filter_map(Option::take)
                .map(|(expr, _)| expr)
                .collect();
            Logical::Join(Box::new(Join {
                kind: JoinKind::Inner,
                left,
                right,
                conditions: own,
                null_aware: Vec::new(),
                mark: None,
                apply: false,
                straight: false,
            }))
        }
    }
}
