//! A bucket that speaks S3: `moto` from PyPI, which checks keys, signatures and permissions.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use till::backup::bucket::{Bucket, BucketError, S3Settings};
use till::clock::{Clock, SystemClock};
use till::config::{Secret, Setting};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{free, python};

const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
const MIB: usize = 1 << 20;

/// A server with a bucket, `shop-backups`, and three users, each with a key.
pub struct Moto {
    child: Child,
    pub base: String,
    keys: Value,
}

impl Moto {
    pub fn start() -> Moto {
        let mut command = Command::new(python("moto-server", "moto.server, flask_cors", &PACKAGES));
        command.args(["-m", "moto.server", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map(|line| line.expect("UTF-8"));
        let line = lines.find(|line| line.contains("Running on ")).expect("it says where it listens");
        let base = line.split_once("Running on ").expect("found").1.trim().to_owned();
        // Its log must be read, or it stops when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let mut moto = Moto { child, base, keys: Value::Null };
        let script = r#"
iam = client("iam")
def key(name, actions):
    iam.create_user(UserName=name)
    allow = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName=name, PolicyName="backups", PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return [made["AccessKeyId"], made["SecretAccessKey"]]
client("s3").create_bucket(Bucket="shop-backups")
print(json.dumps({"owner": key("owner", ["s3:*"]), "reader": key("reader", ["s3:ListBucket"])}))
# From here on every request must be signed and allowed.
requests.post(base + "/moto-api/reset-auth", data="0").raise_for_status()
"#;
        moto.keys = moto.script(script, &["any".into(), "key".into()]);
        moto
    }

    /// What a script prints that has `client`, which asks as somebody.
    fn script(&self, script: &str, key: &[String]) -> Value {
        let head = "import json, sys, boto3, requests\nbase = sys.argv[1]\ndef client(of):\n    return boto3.client(of, \
                    endpoint_url=base, region_name='us-east-1', aws_access_key_id=sys.argv[2], \
                    aws_secret_access_key=sys.argv[3])\n";
        let mut command = Command::new(python("moto-server", "moto.server, flask_cors", &PACKAGES));
        let output = command.args(["-c", &format!("{head}{script}"), &self.base]).args(key).output();
        let output = output.expect("it runs");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    pub fn key(&self, who: &str) -> [String; 2] {
        [0, 1].map(|at| self.keys[who][at].as_str().expect("a key").to_owned())
    }

    /// The bucket, asked by `who` at `base`.
    fn bucket(&self, base: &str, url: &str, [access_key, secret_key]: [String; 2]) -> Bucket {
        let settings = S3Settings {
            endpoint: Some(base.to_owned()),
            region: "us-east-1".into(),
            access_key,
            secret_key: Secret::read(&secret_key).expect("any text is one"),
            session_token: None,
        };
        assert!(self.base.starts_with("http://") && !format!("{settings:?}").contains(&secret_key));
        Bucket::new(url.parse().expect("good"), settings).expect("it has keys")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(size: usize) -> Bytes {
    (0..size).map(|at| (at / 1000 + at) as u8).collect()
}

/// `content` in pieces of some size.
fn pieces(content: &Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let content = content.clone();
    let starts = (0..content.len()).step_by(300_000);
    stream::iter(starts.map(move |at| Ok(content.slice(at..content.len().min(at + 300_000)))))
}

async fn fetched(bucket: &Bucket, name: &str) -> Bytes {
    let mut stream = bucket.get(name).await.expect("it is there");
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece.expect("it is whole"));
    }
    all.into()
}

fn names(objects: &[till::backup::bucket::Object]) -> Vec<(&str, u64)> {
    objects.iter().map(|object| (object.name.as_str(), object.size)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_into_a_bucket_is_listed_got_and_deleted() {
    let moto = Moto::start();
    let bucket = moto.bucket(&moto.base, "s3://shop-backups/till/eu", moto.key("owner"));
    let whole = moto.bucket(&moto.base, "s3://shop-backups", moto.key("owner"));
    assert!(bucket.list().await.expect("allowed").is_empty());
    for (name, size, steps) in [
        ("empty", 0, vec![0]),
        ("small", 5000, vec![5000]),
        ("one-part", 16 * MIB, vec![16 * MIB]),
        ("till-2026-11-23.backup", 40 * MIB, vec![16 * MIB, 32 * MIB, 40 * MIB]),
    ] {
        let (content, told) = (bytes(size), Mutex::new(Vec::new()));
        let put = bucket.put(name, pieces(&content), |sent| told.lock().unwrap().push(sent as usize)).await;
        assert_eq!(put.expect("allowed"), size as u64);
        assert_eq!(told.into_inner().unwrap(), steps);
        assert!(fetched(&bucket, name).await == content, "{name} is another");
    }
    let listed = bucket.list().await.expect("allowed");
    let wanted = ["empty", "one-part", "small", "till-2026-11-23.backup"];
    assert_eq!(names(&listed), wanted.into_iter().zip([0, 16 << 20, 5000, 40 << 20]).collect::<Vec<_>>());
    let age = SystemClock.now().seconds() - listed[0].modified.seconds();
    assert!((-5..300).contains(&age), "{age} seconds old");
    assert!(whole.list().await.expect("allowed").is_empty(), "what lies deeper is not listed");

    bucket.put("small", pieces(&bytes(7)), |_| {}).await.expect("it takes the other's place");
    assert_eq!(fetched(&bucket, "small").await, bytes(7));
    for name in wanted {
        bucket.delete(name).await.expect("allowed");
        bucket.delete(name).await.expect("that it is gone is good enough");
    }
    assert!(bucket.list().await.expect("allowed").is_empty());
    let said = bucket.get("small").await.err().expect("it is gone");
    assert!(matches!(said, BucketError::NoObject { .. }), "{said}");

    // More than a page of a listing.
    let many = "s3 = client('s3')\nfor n in range(1100): s3.put_object(Bucket='shop-backups', Key=f'many/{n:04}', Body=b'x')\nprint(1)";
    moto.script(many, &moto.key("owner"));
    let many = moto.bucket(&moto.base, "s3://shop-backups/many/", moto.key("owner"));
    let listed = many.list().await.expect("allowed");
    assert_eq!((listed.len(), listed[1099].name.as_str()), (1100, "1099"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_fails_leaves_nothing_and_a_line_that_breaks_is_gone_on_with() {
    let moto = Moto::start();
    let bucket = moto.bucket(&moto.base, "s3://shop-backups/till", moto.key("owner"));
    let broken = pieces(&bytes(40 * MIB)).chain(stream::iter([Err(io::Error::other("the disk is gone"))]));
    let said = bucket.put("half", broken, |_| {}).await.expect_err("it can't be whole");
    assert!(said.to_string().contains("the disk is gone"), "{said}");
    let left = "s3 = client('s3')\nprint(json.dumps([len(s3.list_multipart_uploads(Bucket='shop-backups').get('Uploads', [])), \
                s3.list_objects_v2(Bucket='shop-backups')['KeyCount']]))";
    assert_eq!(moto.script(left, &moto.key("owner")), json!([0, 0]));

    // Of each three connections two break, after more and more bytes.
    let (line, to) =
        (TcpListener::bind("127.0.0.1:0").await.expect("a port"), moto.base.replace("http://", ""));
    let base = format!("http://{}", line.local_addr().expect("bound"));
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let count = counted.fetch_add(1, Ordering::Relaxed);
            let (mut client, _) = line.accept().await.expect("it listens");
            let mut server = TcpStream::connect(&to).await.expect("it runs");
            tokio::spawn(async move {
                if count % 3 == 2 {
                    return drop(copy_bidirectional(&mut client, &mut server).await);
                }
                let (mut asked, mut asks) = client.split();
                let (mut answers, mut answered) = server.split();
                let most = 1000 << (2 * count).min(20);
                tokio::select! {
                    () = copy(&mut asked, &mut answered, most) => {}
                    () = copy(&mut answers, &mut asks, most) => {}
                }
            });
        }
    });
    let content = bytes(20 * MIB);
    let bucket = moto.bucket(&base, "s3://shop-backups/till", moto.key("owner"));
    bucket.put("over-a-bad-line", pieces(&content), |_| {}).await.expect("it is tried again");
    assert!(fetched(&bucket, "over-a-bad-line").await == content, "it is another");
    assert!(connections.load(Ordering::Relaxed) > 6, "the line did not break");
}

/// Copies up to `most` bytes.
async fn copy(from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin), most: u64) {
    let _ = tokio::io::copy(&mut from.take(most), to).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_refuses_is_said_with_what_to_do() {
    let moto = Moto::start();
    let owner = moto.key("owner");
    let secret = owner[1].clone();
    let wrong = [owner[0].clone(), "wrong/secret".into()];
    let unknown = ["AKIANOBODY".into(), "wrong/secret".into()];
    for (url, key, put, list) in [
        ("s3://shop-backups/till", wrong, "s3_secret_key", "s3_secret_key"),
        ("s3://shop-backups/till", unknown, "s3_access_key", "s3_access_key"),
        (
            "s3://shop-backups/till",
            moto.key("reader"),
            "may not put in the bucket shop-backups: allow it s3:PutObject",
            "",
        ),
        (
            "s3://no-such-bucket",
            owner,
            "there is no bucket no-such-bucket",
            "there is no bucket no-such-bucket",
        ),
    ] {
        let bucket = moto.bucket(&moto.base, url, key);
        for size in [10, 17 * MIB] {
            let said = bucket.put("name", pieces(&bytes(size)), |_| {}).await.expect_err(url).to_string();
            assert!(said.contains(put) && !said.contains("secret/"), "{said}");
        }
        match bucket.list().await {
            Ok(objects) => assert!(list.is_empty() && objects.is_empty()),
            Err(error) => {
                let said = error.to_string();
                assert!(!list.is_empty() && said.contains(list) && !said.contains(&secret), "{said}");
            }
        }
    }
    let closed = free();
    let nowhere = moto.bucket(&format!("http://{closed}"), "s3://shop-backups", moto.key("owner"));
    let said = nowhere.list().await.expect_err("nobody listens").to_string();
    assert!(said.contains("can't be reached") && said.contains("refused"), "{said}");
}
