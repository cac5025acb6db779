//! The applier's own program against a real broker and API server: what it is told on the bus becomes live, and stays so.

#![expect(clippy::unwrap_used, reason = "how a test fails")]
#![expect(clippy::print_stderr, reason = "figures for whoever runs it")]

mod proxy;
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
    scenario::vault_secret::the_secret_of_a_vault_secret_is_there_without_its_operator(&world)
        .await;
    scenario::drift::a_hand_edit_is_healed_and_told_of(&world).await;
    scenario::drift::fields_of_kubectl_go_when_git_drops_them(&world).await;
    scenario::pin::a_rollback_pins_and_an_unpin_returns(&world).await;
    scenario::deletion::a_cascade_removes_objects_but_not_kept_ones(&world).await;
    scenario::deletion::an_object_that_does_not_go_is_named(&world).await;
    scenario::crash::a_killed_applier_goes_on_where_it_was(&mut world).await;
    scenario::crash::a_wiped_broker_deletes_nothing_and_keeps_the_pin(&mut world).await;
    scenario::load::two_hundred_applications_come_up_quickly(&world).await;
}

/// What is asked for beside the objects themselves, and what was there before, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_are_honoured_and_what_was_there_is_taken_over() {
    let mut world = World::start().await;
    scenario::inherit::what_another_tool_had_is_taken_over_if_it_is_proven(&world).await;
    scenario::inherit::objects_that_nobody_released_yet_are_shown_as_they_are(&world).await;
    scenario::inherit::a_record_that_was_lost_is_made_anew_from_what_was_shown(&mut world).await;
    scenario::adoption::whoever_applied_it_before_it_is_taken_over_without_a_restart(&world).await;
    scenario::adoption::what_changes_while_it_is_taken_over_is_taken_over_all_the_same(&world)
        .await;
    scenario::options::replace_writes_the_whole_object(&world).await;
    scenario::options::force_makes_anew_what_cannot_be_changed(&world).await;
    scenario::options::what_is_replaced_by_force_is_made_anew_by_each_release(&world).await;
    scenario::options::client_side_apply_keeps_what_others_added(&world).await;
    scenario::options::what_server_side_apply_refuses_is_applied_with_a_warning_unless_asked_for(
        &world,
    )
    .await;
    scenario::options::an_object_waits_for_its_kind_where_it_says_so(&world).await;
    scenario::options::a_namespaces_metadata_are_kept_as_they_are_said(&world).await;
    scenario::options::a_shared_object_fails_the_release_where_asked(&world).await;
    scenario::options::what_is_extraneous_by_its_own_word_leaves_the_application_in_sync(&world)
        .await;
    scenario::options::dependents_stay_when_pruning_orphans_them(&world).await;
    scenario::options::an_option_without_a_meaning_is_said_and_does_no_harm(&world).await;
    scenario::project::a_closed_window_holds_releases_and_healing_but_not_people_it_lets_through(
        &world,
    )
    .await;
    scenario::project::objects_are_written_as_the_account_that_the_project_names(&world).await;
    scenario::project::what_nobody_has_in_the_namespace_is_told_where_the_project_asks(&world)
        .await;
    scenario::project::a_namespace_is_made_only_where_the_project_allows_the_kind(&world).await;
}

/// What is done without being asked, and how an application ends, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_says_what_happens_by_itself() {
    let world = World::start().await;
    scenario::automation::an_empty_render_prunes_only_where_that_is_allowed(&world).await;
    scenario::automation::automation_that_is_switched_off_releases_and_heals_nothing(&world).await;
    scenario::automation::fields_of_kubectl_stay_without_migration(&world).await;
    scenario::automation::a_deletion_in_the_background_takes_dependents_along(&world).await;
    scenario::automation::a_deletion_that_does_not_cascade_leaves_every_object(&world).await;
}

/// When hooks run, and what isn't deleted without a word, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_in_their_time_and_nothing_goes_before_its_time() {
    let mut world = World::start().await;
    scenario::hooks::a_failed_release_runs_its_hooks_for_failures(&world).await;
    scenario::hooks::one_hook_runs_in_each_of_its_phases(&world).await;
    scenario::hooks::a_hook_without_a_name_leaves_nothing_of_earlier_releases(&world).await;
    scenario::prune::what_needs_a_word_is_pruned_only_with_it(&world).await;
    scenario::prune::an_application_says_how_many_may_go_at_once(&world).await;
    scenario::prune::what_is_pruned_last_stays_until_all_is_healthy(&world).await;
    scenario::prune::what_would_take_others_along_goes_only_with_a_word(&world).await;
    scenario::prune::a_deleted_application_asks_before_its_namespace_takes_others_along(&world)
        .await;
    scenario::hooks::hooks_of_a_deletion_run_before_and_after_it(&world).await;
    scenario::hooks::a_killed_applier_runs_no_hook_again(&mut world).await;
}

/// Objects that two applications want, at once or one after the other, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_moves_changes_its_owner_and_is_never_deleted() {
    let mut world = World::start().await;
    scenario::moves::who_wants_an_object_takes_it_over_when_its_owner_lets_it_go(&world).await;
    scenario::moves::what_leaves_is_kept_for_an_application_that_is_still_rendered(&mut world)
        .await;
    scenario::moves::a_deleted_application_leaves_what_another_wants(&mut world).await;
}

/// How objects and applications are found to be, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_what_rules_and_scripts_say() {
    let world = World::start().await;
    scenario::health::a_script_of_argocd_cm_says_how_objects_are_as_soon_as_it_is_there(&world)
        .await;
    scenario::health::a_release_waits_for_what_a_script_says(&world).await;
    scenario::health::an_application_is_missing_only_when_all_of_it_is(&world).await;
    scenario::tree::what_objects_own_is_found_when_somebody_asks(&world).await;
}

/// What is drift and what isn't, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_what_counts_of_what_we_set() {
    let world = World::start().await;
    scenario::drift::a_hand_edit_is_healed_however_the_object_was_written(&world).await;
    scenario::ignored::a_field_that_does_not_count_is_nobodys_drift(&world).await;
    scenario::ignored::what_does_not_count_is_not_written_where_that_is_respected(&world).await;
    scenario::ignored::argocd_cm_says_what_counts_from_the_moment_that_it_says_so(&world).await;
    scenario::known::what_a_controller_writes_again_in_its_own_way_is_no_drift(&world).await;
    scenario::fight::a_rival_is_named_and_left_alone_for_longer_and_longer(&world).await;
    scenario::diff::what_a_release_would_change_is_shown_and_nothing_secret_is(&world).await;
    scenario::diff::what_the_project_forbids_is_not_compared_and_what_is_wrong_is_named(&world)
        .await;
}

/// With a proxy between the applier and the API server, which disturbs what they say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_disturbs_the_api_server_is_outlived() {
    use scenario::disturbance as it;
    let mut world = World::start_behind_proxy().await;
    let app = it::the_application_comes_up(&world).await;
    it::too_many_requests_are_sent_again_when_the_server_says(&world, &app).await;
    it::a_request_whose_answer_is_lost_is_sent_again(&world, &app).await;
    it::broken_watches_go_on_where_they_were(&world, &app).await;
    it::a_version_that_is_gone_lists_only_its_kind(&world, &app).await;
    it::credentials_that_expire_are_read_again(&world, &app).await;
    it::slow_watches_delay_and_nothing_is_done_twice(&world, &app).await;
    it::an_api_server_that_starts_again_interrupts_a_release_and_fails_none(&mut world, &app).await;
}

/// The applier is killed at its writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_applier_ends_where_an_undisturbed_one_ends() {
    let world = World::start_behind_proxy().await;
    scenario::matrix::a_kill_at_any_write_loses_doubles_and_deletes_nothing(&world).await;
}

/// Two appliers of one cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applier_that_stands_by_goes_on_for_the_one_that_led() {
    let world = World::start().await;
    scenario::standby::a_cluster_secret_of_argo_cd_says_where_the_cluster_is(&world).await;
    scenario::standby::one_acts_and_the_other_goes_on_for_it(&world).await;
}

/// Releases that don't reach their goal, on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_ends_as_it_was_asked_to() {
    let mut world = World::start().await;
    scenario::ending::a_release_that_takes_too_long_fails_and_is_not_tried_again(&world).await;
    scenario::ending::a_terminated_release_takes_its_hook_with_it_and_stays_ended(&world).await;
    scenario::ending::tries_without_end_are_ended_by_a_person(&world).await;
    scenario::ending::a_hook_that_fails_last_fails_the_release_and_is_tried_again(&world).await;
    scenario::order::a_release_waits_for_what_it_depends_on_and_a_newer_one_for_it_instead(&world)
        .await;
    scenario::order::what_a_person_asks_for_waits_too_and_a_person_can_end_it(&world).await;
    scenario::order::a_killed_applier_waits_on(&mut world).await;
    scenario::direct::a_rollback_past_the_broker_pins_and_shows_when_it_is_back(&mut world).await;
    scenario::trial::a_dry_run_says_what_would_be_done_and_does_nothing(&world).await;
    scenario::order::the_way_back_waits_for_nobody(&world).await;
    scenario::pin::a_pin_until_a_newer_revision_ends_with_it_and_not_before(&world).await;
    scenario::pin::an_application_may_say_that_its_pins_end_with_a_newer_revision(&world).await;
    scenario::back::a_release_that_times_out_is_gone_back_from_until_a_person_tries_it_again(
        &world,
    )
    .await;
    scenario::back::a_release_that_turns_degraded_is_gone_back_from_once(&mut world).await;
}

/// On a stack of its own, whose applier is killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_are_rotated_reach_what_uses_them() {
    let mut world = World::start().await;
    scenario::rotation::a_manual_application_shows_a_rotation_and_waits(&world).await;
    scenario::rotation::a_newer_version_reaches_just_what_uses_it(&mut world).await;
    scenario::rotation::what_is_replaced_as_a_whole_restarts_once_for_a_rotation_too(&world).await;
    scenario::rotation::pods_that_ask_restart_once_for_each_rotation(&mut world).await;
}
