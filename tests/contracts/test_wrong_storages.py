"""The conformance kit finds what is wrong with a storage, and says in which case."""

import pytest

from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import check_storage
from tests.contracts import (
    fragile_storages as fragile,
    late_storages as late,
    wrong_reads as reads,
    wrong_storages as wrong,
)
from tests.contracts.wrapped_storage import WrappedStorage, WrappedSubject

CAUGHT_BY: dict[type[WrappedStorage], set[str]] = {
    reads.AliasingValues: {"what_is_returned_is_the_callers_own"},
    reads.AliasingTurns: {"what_is_returned_is_the_callers_own"},
    reads.StaleReads: {"a_read_after_a_write_sees_it_on_every_host"},
    reads.StatesAsFound: {"several_actors_are_read_as_they_are_named"},
    reads.PrefixOfStatesIsAPattern: {"values_are_read_by_the_prefix_of_their_keys"},
    reads.KeysOrPrefix: {"values_are_read_by_the_prefix_of_their_keys"},
    wrong.NoVersionCheck: {
        "the_version_must_be_the_stored_one",
        "one_of_fifty_creators_wins",
        "an_actor_without_values_keeps_its_version",
    },
    wrong.NoVersionCheckInTurns: {"a_change_with_a_stale_version_is_refused_whole"},
    wrong.HalfBatch: {"a_change_with_a_stale_version_is_refused_whole"},
    wrong.ReusedVersions: {"a_version_is_never_used_again"},
    wrong.NoEpochCheckOnAccept: {
        "an_old_epoch_is_refused_for_every_part_of_a_change",
        "take_over_claims_from_a_living_host",
        "a_host_taken_for_dead_that_goes_on_commits_nothing",
    },
    wrong.NoEpochCheckOnDelete: {"delete_with_a_stale_epoch_is_refused"},
    wrong.NoTombstone: {"a_deleted_actor_keeps_fencing_its_former_owner"},
    wrong.NobodyLives: {
        "an_actor_of_a_living_host_is_refused",
        "one_of_many_first_claims_wins",
    },
    wrong.PositionsReusedAfterDelete: {"a_position_outlives_its_turn"},
    wrong.AcceptsTwice: {"a_known_message_id_gives_the_recorded_turn"},
    wrong.EndedArriveOpen: {"a_turn_may_arrive_ended"},
    wrong.TrimDropsOpenTurns: {"trim_drops_bodies_and_results_of_old_ended_turns"},
    wrong.PrefixIsAPattern: {"keys_are_listed_by_prefix_in_pages"},
    wrong.PagesOverlap: {
        "actors_are_listed_in_order_in_pages",
        "each_actor_is_listed_once_while_others_come_and_go",
    },
    wrong.PagesByOffset: {"each_actor_is_listed_once_while_others_come_and_go"},
    wrong.UnreadableEndsAList: {
        "what_is_stored_under_no_id_is_passed_over_and_can_be_deleted"
    },
    wrong.UnreadableIsHidden: {
        "what_is_stored_under_no_id_is_passed_over_and_can_be_deleted"
    },
    wrong.MarksAreSearched: {"actors_are_found_by_their_marks"},
    wrong.MarksAreReplaced: {"marks_stay_until_they_are_removed"},
    wrong.MarksAreRemembered: {
        "marks_stay_until_they_are_removed",
        "steps_that_wait_together_leave_each_others_marks",
    },
    wrong.NamesAreFolded: {"odd_instance_ids_are_different_actors"},
    late.CancellingUndoes: {"cancelling_the_future_does_not_undo_the_step"},
    late.LastCalledFirst: {"steps_of_one_actor_take_effect_in_call_order"},
    late.CloseForgets: {"close_writes_what_was_called"},
    wrong.Pickles: {"a_storage_cannot_be_pickled"},
    wrong.LogsThePassword: {"a_secret_is_shown_nowhere"},
    wrong.TellsThePassword: {"a_secret_is_shown_nowhere"},
    wrong.ShowsThePassword: {"a_secret_is_shown_nowhere"},
}


@pytest.mark.parametrize("kind", CAUGHT_BY, ids=lambda kind: kind.__name__)
async def test_a_wrong_storage_is_caught_by_the_case_for_it(
    kind: type[WrappedStorage],
):
    expected = CAUGHT_BY[kind]
    cases = [case for case in CASES if case.name in expected]

    report = await check_storage(WrappedSubject(kind), cases=cases)

    assert {outcome.case.name for outcome in report.of("failed")} == expected
    assert not report.ok


async def test_what_the_wrong_ones_wrap_keeps_the_contract():
    report = await check_storage(WrappedSubject(WrappedStorage))

    assert [str(outcome) for outcome in report.of("failed")] == []
    assert len(report.of("passed")) > 80
    assert report.ok


FAULT_CAUGHT_BY: dict[type[WrappedStorage], set[str]] = {
    fragile.SaysItFailedWhenCut: {
        "a_commit_whose_answer_was_lost_is_found_by_its_version",
        "an_accept_whose_answer_was_lost_makes_one_turn",
    },
    fragile.SendsAgainWhenCut: {
        "a_commit_whose_answer_was_lost_is_found_by_its_version",
        "an_accept_whose_answer_was_lost_makes_one_turn",
    },
    fragile.LosesItWhenCut: {
        "a_commit_whose_answer_was_lost_is_found_by_its_version",
        "an_accept_whose_answer_was_lost_makes_one_turn",
    },
    fragile.HoldsTheLoop: {"a_slow_server_does_not_hold_the_loop"},
    fragile.StaysDown: {"a_server_that_goes_and_comes_back_loses_nothing"},
    fragile.ReadsNothingWhenDown: {"a_server_that_goes_and_comes_back_loses_nothing"},
    fragile.WritesHalfWhenFull: {"a_full_storage_can_be_read_and_goes_on_later"},
    fragile.OpensWhatIsTooNew: {"data_of_a_newer_version_is_refused"},
    fragile.TrustsWhatIsDamaged: {"damaged_data_is_not_trusted"},
    fragile.SaysNothingOfReadOnly: {"a_read_only_storage_says_so"},
}


@pytest.mark.parametrize("kind", FAULT_CAUGHT_BY, ids=lambda kind: kind.__name__)
async def test_a_storage_that_bears_a_fault_badly_is_caught_by_the_case_for_it(
    kind: type[WrappedStorage],
):
    expected = FAULT_CAUGHT_BY[kind]
    cases = [case for case in CASES if case.name in expected]

    report = await check_storage(fragile.FragileSubject(kind), cases=cases)

    assert {outcome.case.name for outcome in report.of("failed")} == expected


async def test_a_storage_that_bears_every_fault_well_keeps_the_contract():
    subject = fragile.FragileSubject(fragile.FragileStorage)
    cases = [case for case in CASES if 28 <= case.number <= 39]

    report = await check_storage(subject, cases=cases)

    assert [str(one) for one in report.outcomes if one.result != "passed"] == []
