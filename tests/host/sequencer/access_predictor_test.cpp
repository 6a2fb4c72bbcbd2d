// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the guess which transactions conflict.
#include "host/sequencer/executor/access_predictor.hpp"

#include <gtest/gtest.h>

#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

AdmittedPtr call(const Address& to, uint8_t function) {
    return unsigned_of(stranger(1), call_transaction(0, to, {}, Bytes{function, 0, 0, 0}));
}

TEST(AccessPredictor, CallsThatConflictOftenGetALane) {
    AccessPredictor predictor{4};
    const AdmittedPtr hot = call(stranger(7), 1);
    const AdmittedPtr cold = call(stranger(7), 2);
    EXPECT_FALSE(predictor.lane_of(*hot));
    for (int i = 0; i < 10; ++i) { predictor.learn(*hot, 1); }
    EXPECT_EQ(predictor.lane_of(*hot), 0u);
    EXPECT_FALSE(predictor.lane_of(*cold)) << "another function of the contract";
}

TEST(AccessPredictor, RareConflictsAreForgiven) {
    AccessPredictor predictor{4};
    const AdmittedPtr tx = call(stranger(7), 1);
    for (int i = 0; i < 2'000; ++i) {
        predictor.learn(*tx, i % 20 == 0 ? 1 : 0);
        EXPECT_FALSE(predictor.lane_of(*tx));
    }
}

TEST(AccessPredictor, HotGroupsAreSpreadOverTheLanes) {
    AccessPredictor predictor{3};
    std::vector<uint32_t> lanes;
    for (uint8_t f = 0; f < 6; ++f) {
        const AdmittedPtr tx = call(stranger(7), f);
        for (int i = 0; i < 10; ++i) { predictor.learn(*tx, 1); }
        const auto lane = predictor.lane_of(*tx);
        ASSERT_TRUE(lane);
        lanes.push_back(*lane);
    }
    std::sort(lanes.begin(), lanes.end());
    EXPECT_EQ(lanes, (std::vector<uint32_t>{0, 0, 1, 1, 2, 2}));
}

TEST(AccessPredictor, LaneIsGivenUpInTimeAndTakenAgainAtOnce) {
    AccessPredictor predictor{2};
    const AdmittedPtr tx = call(stranger(7), 1);
    for (int i = 0; i < 10; ++i) { predictor.learn(*tx, 1); }
    uint64_t turns = 0;
    while (predictor.lane_of(*tx)) {
        ASSERT_LT(++turns, 100'000u);
        predictor.learn(*tx, 0);
    }
    EXPECT_GT(turns, 1'000u);
    predictor.learn(*tx, 2);
    EXPECT_TRUE(predictor.lane_of(*tx)) << "it still conflicts";
}

TEST(AccessPredictor, TransfersAndCreationsHaveNone) {
    AccessPredictor predictor{2};
    const AdmittedPtr transfer =
        unsigned_of(stranger(1), transfer_transaction(0, stranger(2), U256{1}));
    const AdmittedPtr creation =
        unsigned_of(stranger(1), call_transaction(0, std::nullopt, {}, Bytes(40)));
    for (int i = 0; i < 100; ++i) {
        predictor.learn(*transfer, 1);
        predictor.learn(*creation, 1);
    }
    EXPECT_FALSE(predictor.lane_of(*transfer));
    EXPECT_FALSE(predictor.lane_of(*creation));
}

}  // namespace
}  // namespace millrace::sequencer
