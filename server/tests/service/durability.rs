//! What restarts, crashes and damage do to what was stored.

use std::sync::Arc;

use holdfast_server::service::{OpenError, SearchBy, Service, ServiceError};

use crate::support::{Shop, by_picture, ids, item, picture, put, search};

#[test]
fn everything_survives_a_restart() {
    let shop = Shop::new("c3f1", 3);
    let service = shop.open();
    service.put((0..5).map(|seed| item(&format!("item.{seed}"), seed)).collect());
    let before = service.get("item.2").unwrap();
    let found = service.search(&by_picture(picture(4))).unwrap().hits;
    drop(service);

    let service = shop.open();

    assert_eq!(service.get("item.2").unwrap(), before);
    assert_eq!(service.picture("item.2").unwrap().bytes, picture(2));
    assert_eq!(service.picture("item.2").unwrap().content_type, "image/png");
    assert_eq!(service.search(&by_picture(picture(4))).unwrap().hits, found);
}

#[test]
fn another_net_embeds_the_stored_pictures_again_and_the_first_one_remembers() {
    let shop = Shop::new("c3f1", 4);
    shop.open().put((0..5).map(|seed| item(&format!("item.{seed}"), seed)).collect());
    let first = shop.open().embed(vec![picture(1)]).unwrap();

    shop.train_again(5);
    let service = shop.open();
    let second = service.embed(vec![picture(1)]).unwrap();
    assert_ne!((first.generation.as_str(), &first.vectors), (second.generation.as_str(), &second.vectors));
    let hit = service.search(&by_picture(picture(1))).unwrap().hits.remove(0);
    assert_eq!(hit.id, "item.1");
    assert!(hit.distance < 1e-3, "the index holds vectors of the net that searches: {hit:?}");
    drop(service);

    shop.train_again(4);
    let metrics = shop.metrics();
    let service = shop.open_with(Arc::clone(&metrics));
    assert_eq!(ids(&service, &search(SearchBy::Id("item.1".to_owned())))[0], "item.1");
    assert_eq!(metrics.stage_duration_seconds.with_label_values(&["decode"]).get_sample_count(), 0);
}

#[test]
fn a_crash_loses_no_acknowledged_item() {
    let shop = Shop::new("c2f2", 11);
    let service = shop.open();
    service.put((0..8).map(|seed| item(&format!("{seed}"), seed)).collect());
    service.delete("5").unwrap();

    // What a process that is killed now would leave on disk: nothing is closed, nothing flushed.
    let crashed = shop.copy_of_disk();
    std::fs::write(crashed.data_dir().join("pictures/00/half-written#1"), "half").unwrap();

    let survivor = crashed.open();
    for seed in (0..8).filter(|seed| *seed != 5) {
        assert_eq!(survivor.picture(&format!("{seed}")).unwrap().bytes, picture(seed));
        assert_eq!(ids(&survivor, &by_picture(picture(seed)))[0], format!("{seed}"));
    }
    assert!(matches!(survivor.get("5"), Err(ServiceError::NotFound { .. })));
    assert_eq!(crashed.stored_pictures(), 7);
}

#[test]
fn files_that_no_item_shows_are_swept_away_at_the_next_start() {
    let shop = Shop::new("c2f2", 12);
    put(&shop.open(), item("a", 1));
    let orphan = shop.data_dir().join("pictures/ab").join("ab".repeat(32));
    std::fs::write(&orphan, "left by a crash between picture and commit").unwrap();

    let service = shop.open();

    assert!(!orphan.exists());
    assert_eq!(service.picture("a").unwrap().bytes, picture(1));
}

#[test]
fn a_stored_picture_that_was_damaged_is_an_error_and_not_served() {
    let shop = Shop::new("c2f2", 13);
    let service = shop.open();
    put(&service, item("a", 1));
    let path = shop.picture_files().remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    assert!(matches!(service.picture("a"), Err(ServiceError::Internal(_))));
}

#[test]
fn two_servers_cannot_share_a_data_folder() {
    let shop = Shop::new("c2f2", 14);
    let _service = shop.open();

    let second = Service::open(&shop.config(), shop.metrics()).map(|_| ()).unwrap_err();

    assert!(matches!(second, OpenError::InUse { .. }));
    assert!(second.to_string().contains("in use by another server"), "{second}");
}

#[test]
fn a_checkpoint_that_cannot_be_loaded_leaves_the_data_folder_alone() {
    let shop = Shop::new("c2f2", 15);
    std::fs::remove_file(shop.config().checkpoint.join("weights.safetensors")).unwrap();

    let refused = Service::open(&shop.config(), shop.metrics()).map(|_| ()).unwrap_err();

    assert!(matches!(refused, OpenError::Checkpoint { .. }));
    assert!(!shop.data_dir().exists());
}
