//! The sending end of snapshots: one piece after the other, and again those that got lost.

use std::time::Duration;

use openraft::errors::RPCError;
use tidewater_proto::raftpb::{self, request::Body, response::Body as Answer};
use tokio::time::Instant;

use crate::{
    machine::Data,
    network::{Link, Unanswered, nonsense, unreachable},
    runtime,
    types::{SnapshotMeta, Types, Vote},
    wire,
};

/// For one piece of a snapshot to be answered.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// Without any answer for this long a snapshot is given up; the next one is newer. Receivers remember for longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before a piece is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often one piece may arrive damaged.
const DAMAGES_MAX: u32 = 20;
/// How long all of a snapshot may take to be installed.
const INSTALL_PATIENCE: Duration = Duration::from_secs(600);

/// A snapshot on its way, at one piece of it.
struct Piecewise<'s> {
    vote: &'s Vote,
    meta: &'s SnapshotMeta,
    snapshot_id: u64,
    number: u32,
    data: bytes::Bytes,
    is_last: bool,
}

impl Piecewise<'_> {
    fn message(&self) -> raftpb::SnapshotPiece {
        raftpb::SnapshotPiece {
            vote: Some(wire::vote(self.vote)),
            snapshot_id: self.snapshot_id,
            number: self.number,
            checksum: crc32fast::hash(&self.data),
            data: self.data.clone(),
            is_last: self.is_last,
            last_log_id: self.meta.last_log_id.as_ref().map(wire::log_id),
            membership: Some(wire::stored(&self.meta.last_membership)),
        }
    }
}

/// What an answer says of the piece that was sent.
enum Outcome {
    /// All of it is installed, or they follow somebody else, whose vote this is: this attempt is over.
    Over(Vote),
    Arrived,
    /// It has to be sent again: it was damaged, or the snapshot is being installed still.
    Again,
}

impl Link {
    /// Sends a snapshot. Gives the receiver's vote when it is installed, or when there is a greater one.
    pub(crate) async fn send_snapshot(
        &self,
        vote: &Vote,
        meta: &SnapshotMeta,
        data: Data,
    ) -> Result<Vote, RPCError<Types>> {
        let _place = self.sender.traffic.begin_sending().await;
        let mut pieces = data.into_pieces().peekable();
        let mut number = 0;
        let snapshot_id = runtime::random_u64();
        loop {
            let data = pieces.next().transpose().map_err(unreachable)?.unwrap_or_default();
            let is_last = pieces.peek().is_none();
            let piece = Piecewise { vote, meta, snapshot_id, number, data, is_last };
            if let Some(vote) = self.send_piece(&piece).await? {
                return Ok(vote);
            }
            number += 1;
        }
    }

    /// Sends a piece until it has arrived; gives a vote if nothing more is to be sent.
    async fn send_piece(&self, piece: &Piecewise<'_>) -> Result<Option<Vote>, RPCError<Types>> {
        let begun = Instant::now();
        let mut heard = begun;
        let mut damages = 0;
        loop {
            self.sender.traffic.pace(piece.data.len()).await;
            metrics::counter!("tidewater_raft_snapshot_bytes_sent_total").increment(piece.data.len() as u64);
            match self.try_piece(piece).await {
                Ok(Outcome::Over(vote)) => return Ok(Some(vote)),
                Ok(Outcome::Arrived) => return Ok(None),
                Ok(Outcome::Again) => {
                    heard = Instant::now();
                    damages += 1;
                    let is_hopeless = match piece.is_last {
                        true => begun.elapsed() >= INSTALL_PATIENCE,
                        false => damages >= DAMAGES_MAX,
                    };
                    if is_hopeless {
                        return Err(nonsense(format!("piece {} is wanted again and again", piece.number)));
                    }
                }
                Err(Unanswered::Final(error)) => return Err(error),
                // Of the first piece nothing is lost, and the next snapshot is newer.
                Err(Unanswered::Lost(error)) if piece.number == 0 || heard.elapsed() >= PATIENCE => {
                    return Err(error);
                }
                Err(Unanswered::Lost(error)) => {
                    tracing::debug!(%error, number = piece.number, "a piece of a snapshot is sent again");
                    metrics::counter!("tidewater_raft_snapshot_pieces_resent_total").increment(1);
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_piece(&self, piece: &Piecewise<'_>) -> Result<Outcome, Unanswered> {
        let kind = openraft::network::RPCTypes::InstallSnapshot;
        let answer = match self.try_ask(kind, Body::Snapshot(piece.message()), PIECE_TIMEOUT).await? {
            Answer::Snapshot(answer) => answer,
            _ => return Err(Unanswered::Final(nonsense("another answer than to a snapshot"))),
        };
        let theirs =
            wire::to_vote(answer.vote.as_ref()).map_err(|error| Unanswered::Final(nonsense(error)))?;
        if theirs > *piece.vote {
            return Ok(Outcome::Over(theirs));
        }
        match answer.wanted.checked_sub(piece.number) {
            Some(0) => Ok(Outcome::Again),
            Some(1) if piece.is_last => Ok(Outcome::Over(theirs)),
            Some(1) => Ok(Outcome::Arrived),
            // They have lost what they had.
            _ => {
                let reason = format!("piece {} is wanted after {}", answer.wanted, piece.number);
                Err(Unanswered::Final(nonsense(reason)))
            }
        }
    }
}
