//! The applier's own program against a real broker and API server: what it is told on the bus becomes live, and stays so.

#![expect(clippy::unwrap_used, reason = "how a test fails")]
#![expect(clippy::print_stderr, reason = "figures for whoever runs it")]

mod scenario;
mod world;

use world::World;

/// One stack for all: each scenario has its own namespace and applications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_become_live_and_stay_as_they_were_released() {
    let mut world = World::start().await;
    if std::env::var_os("ONLY_LOAD").is_some() {
        return scenario::load::two_hundred_applications_come_up_quickly(&world).await;
    }
    scenario::release::objects_are_applied_and_told_of(&world).await;
    scenario::release::waves_and_hooks_follow_each_other(&world).await;
    scenario::release::what_leaves_the_manifests_is_pruned(&world).await;
    scenario::release::a_forbidden_namespace_applies_nothing(&world).await;
    scenario::release::a_bad_release_is_degraded_by_its_pods_reason_and_overtaken(&world).await;
    scenario::release::a_definition_and_its_objects_come_in_one_release(&world).await;
    scenario::release::what_another_application_holds_is_not_taken_over(&world).await;
    scenario::release::a_field_of_the_wrong_type_is_named(&world).await;
    scenario::release::a_manual_application_waits_for_a_command(&world).await;
    scenario::secret::secrets_reach_the_object_and_nothing_else(&world).await;
    scenario::drift::a_hand_edit_is_healed_and_told_of(&world).await;
    scenario::drift::fields_of_kubectl_go_when_git_drops_them(&world).await;
    scenario::pin::a_rollback_pins_and_an_unpin_returns(&world).await;
    scenario::deletion::a_cascade_removes_objects_but_not_kept_ones(&world).await;
    scenario::deletion::an_object_that_does_not_go_is_named(&world).await;
    scenario::crash::a_killed_applier_goes_on_where_it_was(&mut world).await;
    scenario::crash::a_wiped_broker_deletes_nothing_and_keeps_the_pin(&mut world).await;
    scenario::load::two_hundred_applications_come_up_quickly(&world).await;
}
