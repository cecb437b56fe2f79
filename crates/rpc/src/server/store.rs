//! A store over gRPC: each command as a call of its own, and many in one stream.

use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt, stream::BoxStream};
use tidewater_proto::tikvpb::batch_commands_request::Request as BatchedRequest;
use tidewater_proto::tikvpb::batch_commands_response::Response as BatchedResponse;
use tidewater_proto::tikvpb::tikv_server::{Tikv, TikvServer};
use tidewater_proto::tikvpb::{BatchCommandsEmptyResponse, BatchCommandsRequest, BatchCommandsResponse};
use tidewater_proto::{StoreRequest, StoreResponse, StoreService, TransportError, store_commands};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::MESSAGE_BYTES_MAX;

/// Commands of one stream under way at the same time; what comes after waits in the transport.
const COMMANDS_PER_STREAM_MAX: usize = 4096;
/// Answers joined into one message.
const ANSWERS_PER_MESSAGE_MAX: usize = 128;

/// The `tikvpb.Tikv` service of a store.
pub fn store_routes(store: Arc<dyn StoreService>) -> Routes {
    let service = TikvServer::new(StoreServer { store })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Routes::new(service)
}

struct StoreServer {
    store: Arc<dyn StoreService>,
}

/// What became of a call that brought no answer.
fn status(error: &TransportError) -> Status {
    match error {
        TransportError::Timeout => Status::deadline_exceeded(error.to_string()),
        TransportError::Unreachable { .. } | TransportError::Closed => Status::unavailable(error.to_string()),
    }
}

/// One call for each command that the public protocol has one for.
macro_rules! calls {
    // Leaves out what travels in the stream only.
    (@keep [$($kept:tt)*] $variant:ident $name:ident none $request:path => $response:path; $($rest:tt)*) => {
        calls! { @keep [$($kept)*] $($rest)* }
    };
    (@keep [$($kept:tt)*] $variant:ident $name:ident $method:ident $request:path => $response:path; $($rest:tt)*) => {
        calls! { @keep [$($kept)* $method $variant $request => $response;] $($rest)* }
    };
    (@keep [$($method:ident $variant:ident $request:path => $response:path;)*]) => {
        #[tonic::async_trait]
        impl Tikv for StoreServer {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                match self.store.call(StoreRequest::$variant(request.into_inner())).await {
                    Ok(StoreResponse::$variant(response)) => Ok(Response::new(response)),
                    Ok(_) => Err(Status::internal("the store answered something else")),
                    Err(error) => Err(status(&error)),
                }
            })*

            type BatchCommandsStream = BoxStream<'static, Result<BatchCommandsResponse, Status>>;

            async fn batch_commands(
                &self,
                request: Request<Streaming<BatchCommandsRequest>>,
            ) -> Result<Response<Self::BatchCommandsStream>, Status> {
                let (answers, queue) = mpsc::unbounded_channel();
                tokio::spawn(take_commands(self.store.clone(), request.into_inner(), answers));
                Ok(Response::new(join_answers(queue).boxed()))
            }
        }
    };
    ($($table:tt)*) => { calls! { @keep [] $($table)* } };
}

store_commands!(calls);

type Answer = (u64, StoreResponse);

/// Reads commands from a stream until it ends; each is executed on its own, so that answers come in any order.
async fn take_commands(
    store: Arc<dyn StoreService>,
    mut commands: Streaming<BatchCommandsRequest>,
    answers: mpsc::UnboundedSender<Answer>,
) {
    let slots = Arc::new(Semaphore::new(COMMANDS_PER_STREAM_MAX));
    loop {
        let batch = match commands.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a command stream broke");
                return;
            }
        };
        for (id, BatchedRequest { cmd }) in batch.request_ids.into_iter().zip(batch.requests) {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            execute(&store, id, cmd, &answers, slot);
        }
        if answers.is_closed() {
            return;
        }
    }
}

fn execute(
    store: &Arc<dyn StoreService>,
    id: u64,
    command: Option<StoreRequest>,
    answers: &mpsc::UnboundedSender<Answer>,
    slot: OwnedSemaphorePermit,
) {
    let Some(command) = command else {
        // A command this release does not know: its sender waits for an answer all the same.
        let _ = answers.send((id, StoreResponse::Empty(BatchCommandsEmptyResponse::default())));
        return;
    };
    // A point read is over before a task for it would be made.
    let is_short = matches!(command, StoreRequest::Get(_) | StoreRequest::RawGet(_));
    let store = store.clone();
    let mut execution = async move {
        let answer = store.call(command).await;
        drop(slot);
        answer.unwrap_or_else(|error| {
            tracing::warn!(%error, "a command brought no answer");
            StoreResponse::Empty(BatchCommandsEmptyResponse::default())
        })
    }
    .boxed();
    if is_short && let Some(answer) = (&mut execution).now_or_never() {
        // Who left needs no answer.
        let _ = answers.send((id, answer));
        return;
    }
    let answers = answers.clone();
    tokio::spawn(async move {
        let _ = answers.send((id, execution.await));
    });
}

/// Whatever is answered by the time the transport is free goes out in one message.
fn join_answers(
    queue: mpsc::UnboundedReceiver<Answer>,
) -> impl Stream<Item = Result<BatchCommandsResponse, Status>> + Send {
    futures::stream::unfold((queue, Vec::new()), |(mut queue, mut ready)| async move {
        if queue.recv_many(&mut ready, ANSWERS_PER_MESSAGE_MAX).await == 0 {
            return None;
        }
        let mut message = BatchCommandsResponse::default();
        for (id, answer) in ready.drain(..) {
            message.request_ids.push(id);
            message.responses.push(BatchedResponse { cmd: Some(answer) });
        }
        Some((Ok(message), (queue, ready)))
    })
}
