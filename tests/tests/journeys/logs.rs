//! A server whose log nobody takes any more.

use parlor_client::MessageQuery;
use parlor_testkit::process::{Parlor, draft};

use crate::MACHINE;

#[tokio::test]
async fn server_goes_on_and_ends_as_it_should_when_its_log_cannot_be_written() {
    let _shared = MACHINE.read().await;
    // With so much to say that every request has a line.
    let mut server = Parlor::builder().env("PARLOR_LOG__FILTER", "debug").start().await;

    server.close_output().await;

    let ada = server.register("ada").await;
    let posted = ada.http.publish("general", &draft("is anybody there?", None)).await.unwrap();
    let page = ada.http.messages("general", &MessageQuery::default()).await.unwrap();
    assert!(page.items.iter().any(|message| message.id == posted.id));
    let status = server.terminate().await;
    assert!(status.success(), "{status}");
}
