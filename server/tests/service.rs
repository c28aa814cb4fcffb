//! The service as its callers see it: what was acknowledged stays, what was deleted is gone, what is broken fails alone.
#![expect(clippy::unwrap_used, reason = "an error fails the test")]

#[path = "service/durability.rs"]
mod durability;
#[path = "service/long_model.rs"]
mod long_model;
#[path = "service/model.rs"]
mod model;
#[path = "service/support.rs"]
mod support;

use std::sync::Arc;
use std::thread;

use holdfast_server::metrics::Stage;
use holdfast_server::service::{MetadataValue, NewItem, Readiness, Search, SearchBy, ServiceError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use support::{Shop, by_picture, ids, item, picture, put, search};

#[test]
fn a_stored_picture_is_its_own_nearest_hit() {
    let shop = Shop::new("c3f1", 1);
    let service = shop.open();
    let stored = service.put((0..20).map(|seed| item(&format!("item.{seed}"), seed)).collect());
    assert!(stored.iter().all(Result::is_ok));

    let reply = service.search(&by_picture(picture(7))).unwrap();

    let first = &reply.hits[0];
    assert_eq!((first.id.as_str(), first.metadata.label()), ("item.7", Some("class-1")));
    assert!(first.distance < 1e-3 && first.score > 0.999, "{first:?}");
    assert!(reply.hits.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
    let stages: Vec<Stage> = reply.stages.iter().map(|(stage, _)| stage).collect();
    assert_eq!(stages, [Stage::Decode, Stage::Preprocess, Stage::Queue, Stage::Embed, Stage::Search]);
}

#[test]
fn searches_by_picture_by_item_and_by_vector_agree() {
    let shop = Shop::new("c2f2", 2);
    let service = shop.open();
    service.put((0..10).map(|seed| item(&format!("{seed}"), seed)).collect());
    let vector = service.embed(vec![picture(3)]).unwrap().vectors.remove(0);
    let longer = vector.iter().map(|number| number * 250.0).collect();

    let expected = ids(&service, &by_picture(picture(3)));

    for by in [SearchBy::Id("3".to_owned()), SearchBy::Vector(vector), SearchBy::Vector(longer)] {
        assert_eq!(ids(&service, &search(by)), expected);
    }
}

#[test]
fn a_deleted_item_is_never_found_again() {
    let shop = Shop::new("c2f2", 6);
    let service = shop.open();
    service.put((0..6).map(|seed| item(&format!("{seed}"), seed)).collect());

    service.delete("2").unwrap();

    for service in [service, shop.reopened()] {
        assert!(matches!(service.get("2"), Err(ServiceError::NotFound { .. })));
        assert!(matches!(service.picture("2"), Err(ServiceError::NotFound { .. })));
        assert!(matches!(service.delete("2"), Err(ServiceError::NotFound { .. })));
        assert_eq!(ids(&service, &by_picture(picture(2))).len(), 5);
        assert!(!ids(&service, &by_picture(picture(2))).contains(&"2".to_owned()));
    }
}

#[test]
fn an_update_replaces_picture_metadata_and_vector() {
    let shop = Shop::new("c3f1", 7);
    let service = shop.open();
    put(&service, item("a", 1));
    put(&service, item("b", 2));

    let metadata = [("price", MetadataValue::Number(7.into()))].into_iter().collect();
    put(&service, NewItem { id: "a".to_owned(), picture: picture(3), metadata });

    let updated = service.get("a").unwrap();
    assert_eq!((updated.revision, updated.metadata.label()), (2, None));
    assert_eq!(service.picture("a").unwrap().bytes, picture(3));
    assert!(service.search(&by_picture(picture(3))).unwrap().hits[0].distance < 1e-3);
    assert!(service.search(&by_picture(picture(1))).unwrap().hits.iter().all(|hit| hit.distance > 1e-3));
    assert_eq!(shop.stored_pictures(), 2, "the old picture is gone from disk");
}

#[test]
fn a_picture_that_two_items_show_is_stored_once_and_outlives_one_of_them() {
    let shop = Shop::new("c2f2", 8);
    let service = shop.open();
    put(&service, item("a", 1));
    put(&service, item("b", 1));
    assert_eq!(shop.stored_pictures(), 1);

    service.delete("a").unwrap();
    assert_eq!(service.picture("b").unwrap().bytes, picture(1));
    put(&service, item("b", 2));
    service.delete("b").unwrap();

    drop(service);
    assert_eq!(shop.stored_pictures(), 0);
}

#[test]
fn storing_an_item_again_runs_no_forward_pass_and_gives_the_same_vector() {
    let shop = Shop::new("c3f1", 21);
    let metrics = shop.metrics();
    let service = shop.open_with(Arc::clone(&metrics));
    service.put((0..5).map(|seed| item(&format!("{seed}"), seed)).collect());
    let passes = metrics.embed_batch_size.get_sample_count();

    put(&service, item("2", 2));
    put(&service, item("twin", 2));

    assert_eq!(metrics.embed_batch_size.get_sample_count(), passes);
    assert_eq!(service.get("2").unwrap().revision, 2);
    let hits = service.search(&search(SearchBy::Id("twin".to_owned()))).unwrap().hits;
    assert_eq!((hits[0].id.as_str(), hits[0].distance), ("2", 0.0));
    assert_eq!((hits[1].id.as_str(), hits[1].distance), ("twin", 0.0));
}

#[test]
fn a_broken_picture_in_a_batch_fails_alone_and_leaves_nothing() {
    let shop = Shop::new("c3f1", 9);
    let service = shop.open();
    let mut truncated = picture(2);
    truncated.truncate(truncated.len() / 2);
    let broken = |id: &str, bytes: &[u8]| NewItem { picture: bytes.to_vec(), ..item(id, 0) };

    let results = service.put(vec![
        item("a", 1),
        broken("b", b"no picture"),
        broken("c", &truncated),
        item("no/slash", 3),
        item("e", 4),
    ]);

    assert!(results[0].is_ok() && results[4].is_ok());
    assert!(matches!(results[1], Err(ServiceError::UnsupportedImage { .. })));
    assert!(matches!(results[2], Err(ServiceError::UnsupportedImage { .. })));
    assert!(matches!(results[3], Err(ServiceError::InvalidRequest { .. })));
    assert_eq!(ids(&service, &by_picture(picture(2))).len(), 2);
    assert_eq!(shop.stored_pictures(), 2);
}

#[test]
fn ids_and_vectors_that_break_the_rules_are_refused() {
    let shop = Shop::new("c2f2", 10);
    let service = shop.open();
    put(&service, item(&"a".repeat(128), 1));
    let refused = |by| service.search(&search(by)).unwrap_err().to_string();

    for id in ["", "a/b", "ä", "a b", "a\n", &"a".repeat(129)] {
        assert!(matches!(service.get(id), Err(ServiceError::InvalidRequest { .. })), "{id:?}");
    }
    assert!(refused(SearchBy::Vector(vec![1.0; 3])).contains("has 512 numbers, got 3"));
    assert!(refused(SearchBy::Vector(vec![f32::NAN; 512])).contains("finite"));
    assert!(refused(SearchBy::Vector(vec![0.0; 512])).contains("direction"));
    assert!(refused(SearchBy::Id("nobody".to_owned())).contains("no item \"nobody\""));
    let nothing = Search { limit: 0, ..by_picture(picture(1)) };
    assert!(matches!(service.search(&nothing), Err(ServiceError::InvalidRequest { .. })));
}

#[test]
fn after_shutdown_reads_are_served_and_writes_and_pictures_are_refused() {
    let shop = Shop::new("c2f2", 16);
    let service = shop.open();
    put(&service, item("a", 1));
    assert_eq!(service.readiness(), Readiness::Ready);

    service.shutdown();

    assert_eq!(service.readiness(), Readiness::Stopping);
    assert!(service.get("a").is_ok() && service.search(&search(SearchBy::Id("a".to_owned()))).is_ok());
    assert!(matches!(service.put(vec![item("b", 2)])[0], Err(ServiceError::NotReady)));
    assert!(matches!(service.delete("a"), Err(ServiceError::NotReady)));
    assert!(matches!(service.search(&by_picture(picture(1))), Err(ServiceError::NotReady)));
}

#[test]
fn a_snapshot_holds_the_items_their_classes_and_their_vectors() {
    let shop = Shop::new("c3f1", 17);
    let service = shop.open();
    service.put((0..9).map(|seed| item(&format!("{seed}"), seed)).collect());
    service.delete("4").unwrap();
    let generation = service.generation();

    let all = generation.snapshot(100, &mut ChaCha8Rng::seed_from_u64(1));
    let some = generation.snapshot(3, &mut ChaCha8Rng::seed_from_u64(1));

    assert_eq!(all.ids, ["0", "1", "2", "3", "5", "6", "7", "8"]);
    assert_eq!(all.labels[6].as_deref(), Some("class-1"));
    let nearest = service.search(&search(SearchBy::Vector(all.vectors[4].clone()))).unwrap().hits.remove(0);
    assert_eq!((nearest.id.as_str(), nearest.distance), ("5", 0.0));
    assert_eq!(some, generation.snapshot(3, &mut ChaCha8Rng::seed_from_u64(1)));
    assert_eq!(some.ids.len(), 3);
}

#[test]
fn each_query_picture_is_offered_to_the_replay() {
    let shop = Shop::new("c3f1", 18);
    let service = shop.open();

    service.search(&by_picture(picture(1))).unwrap();
    service.embed(vec![picture(2)]).unwrap();

    assert_eq!(service.replay().len(), 1);
}

#[test]
fn writers_and_readers_at_once_see_only_whole_items() {
    let shop = Shop::new("c2f2", 19);
    let service = shop.open();
    service.put((0..6).map(|seed| item(&format!("{seed}"), seed)).collect());

    thread::scope(|scope| {
        for writer in 0..3_u64 {
            let service = &service;
            scope.spawn(move || {
                for round in 0..10 {
                    // All write and delete the same content under their own ids.
                    put(service, item(&format!("w{writer}"), 100 + round));
                    if round % 3 == 0 {
                        service.delete(&format!("w{writer}")).unwrap();
                    }
                }
            });
        }
        for seed in 0..6_u64 {
            for _ in 0..4 {
                assert_eq!(ids(&service, &by_picture(picture(seed)))[0], format!("{seed}"));
            }
        }
    });

    drop(service);
    let service = shop.open();
    assert!((0..6).all(|seed| service.picture(&format!("{seed}")).is_ok()));
    assert_eq!(shop.stored_pictures(), 6);
}
