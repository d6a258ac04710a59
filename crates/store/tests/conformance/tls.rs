//! A server that refuses connections without TLS, and every `sslmode`.

use store::{PostgresStore, StoreError};
use testkit::postgres::{Cluster, cluster, database_of, free_port};

/// Two authorities, and a certificate of the first one for `localhost`.
const CERTIFICATES: &str = r#"
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
for who in authority stranger; do
    openssl req -x509 $new -subj "/CN=$who" -keyout $who.key -out $who.crt
done
openssl req $new -subj /CN=localhost -keyout server.key -out server.csr
echo subjectAltName=DNS:localhost >names
openssl x509 -req -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial \
    -days 2 -extfile names -out server.crt
chmod 600 server.key
{ echo local all all trust; echo hostssl all all 127.0.0.1/32 trust; } >hba
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sslmode_does_what_it_says() {
    let port = free_port();
    let settings = [
        "listen_addresses=127.0.0.1",
        "ssl=on",
        "ssl_cert_file=../server.crt",
        "ssl_key_file=../server.key",
        "hba_file=hba",
    ];
    let server = Cluster::start_with(CERTIFICATES, port, &settings);
    let url = server.database().await;
    let name = database_of(&url);
    let file = |who: &str| server.folder().join(format!("{who}.crt")).display().to_string();
    let open = async |host: &str, settings: &str| {
        let url = format!("postgres://refundry@{host}:{port}/{name}?{settings}");
        match PostgresStore::open(&url).await {
            Ok(store) => Ok(store.next_due().await.expect("a read")),
            Err(StoreError::Away(why)) => Err(why),
            Err(error) => panic!("{error:?}"),
        }
    };
    let refused = async |host: &str, settings: &str, why: &str| {
        let said = open(host, settings).await.expect_err(settings);
        assert!(said.contains(why), "{settings}: {said}");
    };
    refused("localhost", "sslmode=disable", "no encryption").await;
    for mode in ["prefer", "require"] {
        open("127.0.0.1", &format!("sslmode={mode}")).await.expect(mode);
    }
    let (ours, others) = (file("authority"), file("stranger"));
    for mode in ["require", "verify-ca", "verify-full"] {
        let believe = |file| format!("sslmode={mode}&sslrootcert={file}");
        open("localhost", &believe(&ours)).await.expect(mode);
        refused("localhost", &believe(&others), "UnknownIssuer").await;
        refused("127.0.0.1", &believe(&ours), "not valid for name").await;
    }
    refused("localhost", "sslmode=verify-full", "UnknownIssuer").await;
    let plain = cluster().database().await;
    let required = plain.replace("sslmode=disable", "sslmode=require");
    assert!(PostgresStore::open(&required).await.is_err(), "a server without TLS is refused");
}
