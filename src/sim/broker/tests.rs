use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::time::timeout;

use super::*;

struct House {
    broker: Arc<Broker>,
    port: u16,
    acked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

async fn house(drop_every: Option<u64>) -> House {
    let acked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&acked);
    let on_ack: OnAck =
        Box::new(move |_, payload| log.lock().unwrap().push(String::from_utf8_lossy(payload).into_owned()));
    let broker = Arc::new(Broker::new(drop_every, on_ack));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&broker).serve(listener, CancellationToken::new()));
    House { broker, port, acked, _tasks: tasks }
}

impl House {
    fn client(&self, id: &str, clean: bool) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(id, "127.0.0.1", self.port);
        options.set_clean_session(clean).set_manual_acks(true);
        AsyncClient::new(options, 100)
    }

    /// Publishes and waits for each PUBACK.
    async fn publish(&self, messages: impl IntoIterator<Item = u32>) {
        let (client, mut events) = self.client("publisher", true);
        for n in messages {
            client.publish(format!("dc1/scan/s{n}/read"), QOS1, false, n.to_string()).await.unwrap();
            next(&mut events, |p| matches!(p, Packet::PubAck(_)).then_some(())).await;
        }
    }
}

const QOS1: QoS = QoS::AtLeastOnce;

async fn next<T>(events: &mut EventLoop, wanted: impl Fn(&Packet) -> Option<T>) -> T {
    timeout(Duration::from_secs(10), async {
        loop {
            if let Event::Incoming(packet) = events.poll().await.unwrap()
                && let Some(found) = wanted(&packet)
            {
                return found;
            }
        }
    })
    .await
    .expect("the broker answers")
}

async fn message(events: &mut EventLoop) -> Publish {
    next(events, |p| if let Packet::Publish(p) = p { Some(p.clone()) } else { None }).await
}

async fn present(events: &mut EventLoop) -> bool {
    next(events, |p| if let Packet::ConnAck(c) = p { Some(c.session_present) } else { None }).await
}

async fn subscribe(house: &House) -> (AsyncClient, EventLoop) {
    let (client, mut events) = house.client("gateway", false);
    assert!(!present(&mut events).await);
    client.subscribe("dc1/scan/+/read", QOS1).await.unwrap();
    next(&mut events, |p| matches!(p, Packet::SubAck(_)).then_some(())).await;
    (client, events)
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_in_order_with_dup_and_the_same_ids() {
    let house = house(None).await;
    let (client, mut events) = subscribe(&house).await;
    house.publish(1..=3).await;
    let first = [message(&mut events).await, message(&mut events).await, message(&mut events).await];
    client.ack(&first[0]).await.unwrap();
    timeout(Duration::from_secs(10), async {
        while house.acked.lock().unwrap().is_empty() {
            timeout(Duration::from_millis(10), events.poll()).await.ok();
        }
    })
    .await
    .expect("the ack arrives");
    drop((client, events));

    house.publish(4..=4).await;
    let (_client, mut events) = house.client("gateway", false);
    assert!(present(&mut events).await, "the session was kept");
    for old in &first[1..] {
        let again = message(&mut events).await;
        assert_eq!((again.dup, again.pkid, &again.payload), (true, old.pkid, &old.payload));
    }
    let new = message(&mut events).await;
    assert_eq!((new.dup, new.payload.as_ref()), (false, b"4".as_ref()));
    assert_eq!(house.broker.stats().redelivered, 2);
    assert_eq!(*house.acked.lock().unwrap(), ["1"]);
}

#[tokio::test]
async fn a_session_keeps_what_comes_while_its_client_is_away() {
    let house = house(None).await;
    drop(subscribe(&house).await);
    house.publish(1..=20).await;
    let (_client, mut events) = house.client("gateway", false);
    assert!(present(&mut events).await);
    for n in 1..=20 {
        assert_eq!(message(&mut events).await.payload, n.to_string());
    }
}

#[tokio::test]
async fn sabotage_loses_each_third_message_after_its_puback() {
    let house = house(Some(3)).await;
    let (_client, mut events) = subscribe(&house).await;
    house.publish(1..=7).await;
    for n in [1, 2, 4, 5, 7] {
        assert_eq!(message(&mut events).await.payload, n.to_string());
    }
    assert_eq!(house.broker.stats().sabotaged, 2);
}

#[tokio::test]
async fn the_window_bounds_what_is_in_flight() {
    let house = house(None).await;
    drop(subscribe(&house).await);
    let many = u32::try_from(WINDOW).unwrap() + 10;
    house.publish(1..=many).await;
    let (_client, mut events) = house.client("gateway", false);
    for _ in 0..WINDOW {
        message(&mut events).await;
    }
    let state = house.broker.lock();
    let session = &state.sessions["gateway"];
    assert_eq!((session.in_flight.len(), session.queue.len()), (WINDOW, 10));
}
