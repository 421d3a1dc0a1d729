//! The bundle that is given out.

use super::*;

#[tokio::test]
async fn the_file_is_read_anew_and_its_tag_saves_the_body() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.bundle");
    std::fs::write(&file, "one\n").unwrap();
    let server = Running::start(Options { bundle: Some(file.clone()), ..options() }).await;
    let url = format!("http://{}/bundle", server.ready.address);
    let get = async |tag: Option<&str>| {
        let request = server.client.get(&url);
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (status, tag, response.text().await.unwrap())
    };
    let (status, tag, body) = get(None).await;
    assert_eq!((status, body.as_str()), (200, "one\n"));
    assert_eq!(get(tag.as_deref()).await, (304, tag.clone(), String::new()));
    std::fs::write(&file, "two\n").unwrap();
    let (status, next, body) = get(tag.as_deref()).await;
    assert_eq!((status, body.as_str()), (200, "two\n"));
    assert_ne!(next, tag);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(get(None).await.0, 500);
    let without = Running::start(options()).await;
    without.refused(Method::GET, "/bundle", "", 404, "without `--bundle`").await;
}
