//! The page without a mouse.

use serde_json::json;

use super::Shop;

/// Presses Tab until the focus is on what `selector` finds; it must be seen wherever it stops.
#[track_caller]
fn tab_to(shop: &mut Shop, selector: &str) {
    for _ in 0..60 {
        shop.page.press("Tab");
        let seen = "(() => { const style = getComputedStyle(document.activeElement); \
            const zone = document.activeElement.closest('.dropzone'); \
            return style.outlineStyle !== 'none' || (zone && getComputedStyle(zone).outlineStyle !== 'none') \
              || document.activeElement === document.body; })()";
        let focused = shop.page.value("document.activeElement.outerHTML.slice(0, 120)");
        assert_eq!(shop.page.value(seen), json!(true), "the focus is not to be seen on {focused}");
        if shop.page.value(&format!("document.activeElement.matches({})", json!(selector))) == json!(true) {
            return;
        }
    }
    panic!("{selector} cannot be reached by Tab");
}

#[test]
fn a_picture_is_found_filtered_and_searched_from_by_keyboard_alone() {
    let Some(mut shop) = Shop::open() else { return };

    tab_to(&mut shop, "#to-gallery");
    shop.page.press("Enter");
    shop.wait("document.querySelectorAll('#items .card').length === 60");
    shop.wait("document.activeElement.id === 'gallery-title'");

    tab_to(&mut shop, "#filter-add");
    shop.page.press("Enter");
    shop.wait("document.activeElement.name === 'key'");
    shop.page.write("label");
    tab_to(&mut shop, "#filter-form [name=value]");
    shop.page.write("lemon");
    shop.page.press("Enter");
    shop.wait("document.querySelectorAll('#items .card').length === 18");

    tab_to(&mut shop, ".card-main");
    let chosen = shop.page.value("document.activeElement.closest('.card').dataset.id");
    shop.page.press("Enter");
    shop.wait(&format!("document.querySelector('#hits .card-id')?.textContent === {chosen}"));
    shop.wait("document.querySelector('#announcement').textContent.startsWith('18 pictures near lemon.')");

    tab_to(&mut shop, ".card-details");
    shop.page.press("Enter");
    shop.wait("document.querySelector('#details').open");
    shop.page.press("Escape");
    shop.wait("!document.querySelector('#details').open && document.activeElement.matches('.card-details')");
    shop.assert_no_complaints();
}
