// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the pool's heap with a sorted set.
#include "host/sequencer/pool/ready_heap.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>

namespace millrace::sequencer {
namespace {

struct Node {
    uint64_t key = 0;
    uint64_t id = 0;
    bool in = false;
    size_t place = 0;
};
struct Before {
    bool operator()(const Node& a, const Node& b) const noexcept {
        return a.key != b.key ? a.key > b.key : a.id < b.id;
    }
};

TEST(ReadyHeap, AgreesWithASortedSet) {
    std::mt19937_64 random{1};
    std::vector<Node> nodes(300);
    for (size_t i = 0; i < nodes.size(); ++i) { nodes[i].id = i; }
    ReadyHeap<Node, &Node::place, Before> heap;
    const auto less = [](const Node* a, const Node* b) { return Before{}(*a, *b); };
    std::set<Node*, decltype(less)> model(less);
    for (int step = 0; step < 100'000; ++step) {
        Node* n = &nodes[random() % nodes.size()];
        if (random() % 4 == 0 && !model.empty()) { n = *model.begin(); }
        if (n->in) {
            model.erase(n);
            heap.erase(n);
        } else {
            n->key = random() % 20;  // many are equal
            model.insert(n);
            heap.push(n);
        }
        n->in = !n->in;
        ASSERT_EQ(heap.size(), model.size());
        ASSERT_EQ(heap.empty(), model.empty());
        if (!model.empty()) { ASSERT_EQ(heap.top(), *model.begin()) << "step " << step; }
    }
}

}  // namespace
}  // namespace millrace::sequencer
