//! How fast the load is: whatever it sends is read, and nothing of it is looked at but how much it is.

use tokio::io::AsyncReadExt as _;

use super::bare;
use crate::load::FRAME;
use crate::task::{Target, Task};

pub(crate) async fn ceiling(task: Task) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let mut left = count * FRAME;
    let (bytes, mut read) = tokio::sync::mpsc::channel(64);
    for socket in 0..task.sockets {
        let mut socket = bare::connect(&task, socket).await;
        let bytes = bytes.clone();
        tokio::spawn(async move {
            let socket = socket.get_mut();
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match socket.read(&mut buffer).await.unwrap() {
                    0 => return,
                    some => bytes.send(u64::try_from(some).unwrap()).await.unwrap(),
                }
            }
        });
    }
    while let Some(bytes) = read.recv().await {
        left = left.checked_sub(bytes).expect("no more than was sent");
        if left == 0 {
            println!("complete");
        }
    }
}
