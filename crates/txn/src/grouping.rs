//! Many keys, many regions: cut the work into batches by region, run them side by side, cut again what met a changed region.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::backoff::Backoff;
use crate::cluster::Cluster;
use crate::{Region, TxnError};

/// Something to be sent to the region of its key.
pub(crate) trait Keyed {
    fn key(&self) -> &[u8];
    /// What it adds to a request.
    fn bytes(&self) -> usize;
}

impl Keyed for bytes::Bytes {
    fn key(&self) -> &[u8] {
        self
    }

    fn bytes(&self) -> usize {
        self.len()
    }
}

/// Items of one region, small enough for one request.
pub(crate) struct Batch<T> {
    pub(crate) region: Arc<Region>,
    pub(crate) items: Arc<[T]>,
}

/// What became of a batch.
pub(crate) enum Done<O, T> {
    Answer(O),
    /// Cut these anew.
    Again(Arc<[T]>),
}

impl Cluster {
    /// Cuts items, in the order of their keys, into batches.
    pub(crate) async fn batches<T: Keyed>(
        &self,
        items: Vec<T>,
        backoff: &mut Backoff,
    ) -> Result<Vec<Batch<T>>, TxnError> {
        debug_assert!(items.is_sorted_by(|a, b| a.key() <= b.key()));
        let mut batches = Vec::new();
        let mut current: Option<(Arc<Region>, Vec<T>, usize)> = None;
        for item in items {
            let bytes = item.bytes();
            let fits = current.as_ref().is_some_and(|(region, items, size)| {
                region.contains(item.key())
                    && size + bytes <= self.config.request_bytes_max
                    && items.len() < self.config.request_keys_max
            });
            if fits {
                if let Some((_, items, size)) = &mut current {
                    items.push(item);
                    *size += bytes;
                }
                continue;
            }
            let region = match &current {
                Some((region, ..)) if region.contains(item.key()) => region.clone(),
                _ => self.locate(item.key(), backoff).await?,
            };
            if let Some((region, items, _)) = current.replace((region, vec![item], bytes)) {
                batches.push(Batch { region, items: items.into() });
            }
        }
        if let Some((region, items, _)) = current {
            batches.push(Batch { region, items: items.into() });
        }
        Ok(batches)
    }

    /// Runs `work` on every batch, some side by side. After a failure nothing more is begun, but what is under way is waited for:
    /// a request that outlived its caller could set locks nobody knows of.
    pub(crate) async fn for_each_batch<T, O, W, F>(
        &self,
        batches: Vec<Batch<T>>,
        backoff: &mut Backoff,
        work: W,
    ) -> Result<Vec<O>, TxnError>
    where
        T: Keyed + Clone,
        W: Fn(Batch<T>, Backoff) -> F,
        F: Future<Output = (Result<Done<O, T>, TxnError>, Backoff)>,
    {
        let mut answers = Vec::with_capacity(batches.len());
        let mut waiting: std::collections::VecDeque<_> =
            batches.into_iter().map(|batch| (batch, backoff.fork())).collect();
        let mut running = FuturesUnordered::new();
        let mut failure = None;
        loop {
            while failure.is_none() && running.len() < self.config.requests_parallel_max {
                let Some((batch, patience)) = waiting.pop_front() else { break };
                running.push(work(batch, patience));
            }
            let Some((result, mut patience)) = running.next().await else { break };
            backoff.lost_answers += std::mem::take(&mut patience.lost_answers);
            match result {
                Ok(Done::Answer(answer)) => answers.push(answer),
                Ok(Done::Again(items)) if failure.is_none() => {
                    match self.batches(items.to_vec(), &mut patience).await {
                        Ok(again) => waiting.extend(again.into_iter().map(|batch| (batch, patience.fork()))),
                        Err(error) => failure = Some(error),
                    }
                }
                Ok(Done::Again(_)) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Ok(answers),
            Some(error) => Err(error),
        }
    }
}
