// SPDX-License-Identifier: Apache-2.0
// Owns the generator of worlds and of the message or transaction that runs in them.
#include "tests/evm/differential/generator.hpp"

#include <array>

#include "evm/core/evm.hpp"
#include "tests/evm/differential/program.hpp"

namespace millrace::evm::differential {
namespace {

/// Every scenario prefers other statements, so that rare ones meet often in some.
Surroundings surroundings(Choices& choices, Revision revision) {
    Surroundings s;
    s.revision = revision;
    s.keys = {U256{0}, U256{1}, U256{2}, U256::max()};
    static constexpr std::array<uint8_t, 16> usual = {10, 5, 6, 8, 3, 5, 4, 4,
                                                      4,  5, 2, 2, 6, 2, 8, 1};
    for (size_t i = 0; i < usual.size(); ++i) {
        const uint64_t pick = choices.below(6);
        s.weights[i] = pick == 0 ? 0 : pick == 1 ? static_cast<uint8_t>(usual[i] * 4) : usual[i];
    }
    s.weights[kind_arithmetic] = std::max<uint8_t>(s.weights[kind_arithmetic], 1);
    return s;
}

uint64_t pick_gas(Choices& choices) {
    switch (choices.below(8)) {
        case 0: return choices.below(1000);
        case 1: return choices.below(10'000);
        case 2:
        case 3: return choices.between(20'000, 100'000);
        case 7: return choices.one_in(4) ? choices.between(1'000'000, 8'000'000) : 700'000;
        default: return choices.between(100'000, 500'000);
    }
}

/// The contracts, the people and the special accounts of a world.
class WorldBuilder {
public:
    WorldBuilder(Choices& choices, Scenario& s)
        : choices_(choices), s_(s), around_(surroundings(choices, s.revision)) {}

    void build() {
        const uint64_t contracts = choices_.between(1, 5);
        for (uint64_t i = 0; i < contracts; ++i) {
            around_.addresses.push_back(numbered_address(1, i));
        }
        for (uint64_t i = 0; i < 2; ++i) {
            around_.addresses.push_back(numbered_address(2, i));
        }  // absent
        around_.addresses.push_back(numbered_address(3, 0));
        for (uint64_t i = 0; i < 3; ++i) {
            around_.addresses.push_back(low_address(choices_.between(1, 18)));
        }
        around_.addresses.push_back(low_address(choices_.below(6)));
        if (choices_.one_in(8)) { around_.addresses.push_back(low_address(0x100)); }
        const uint64_t delegated = s_.revision >= Revision::cancun ? choices_.below(4) : 0;
        for (uint64_t i = 0; i < delegated; ++i) {
            around_.addresses.push_back(numbered_address(4, i));
        }
        s_.sender = numbered_address(5, 0);
        around_.addresses.push_back(s_.sender);
        s_.block.coinbase =
            choices_.one_in(6) ? choices_.any_of(around_.addresses) : numbered_address(6, 0);
        around_.addresses.push_back(s_.block.coinbase);

        const bool deep = choices_.one_in(64);
        for (uint64_t i = 0; i < contracts; ++i) {
            add_contract(numbered_address(1, i), deep && i == 0);
        }
        for (uint64_t i = 0; i < delegated; ++i) { add_delegated(numbered_address(4, i)); }
        s_.world[numbered_address(3, 0)].balance = U256{choices_.between(1, 1000)};
        AccountSpec& sender = s_.world[s_.sender];
        sender.nonce = choices_.below(3);
        sender.balance = shl(U256{1}, 120);
        if (choices_.one_in(6)) { block_creation_address(); }
        deep_ = deep;
    }

    bool deep() const { return deep_; }
    const Surroundings& around() const { return around_; }
    Bytes program(unsigned statements) { return Program{choices_, around_, 0}.write(statements); }
    Bytes init_code() { return Program{choices_, around_, 1}.write_init_code(); }

private:
    void add_contract(const Address& a, bool deep) {
        Surroundings around = around_;
        if (deep) {
            // A straight line that calls itself, alone in the use of its gas.
            around.deep = around.tame = true;
            around.weights = {};
            around.weights[kind_arithmetic] = 6;
            around.weights[kind_storage] = 2;
            around.weights[kind_transient] = 1;
        }
        AccountSpec& account = s_.world[a];
        account.nonce =
            choices_.one_in(20) ? ~uint64_t{0} - choices_.below(2) : choices_.between(1, 3);
        account.balance =
            choices_.one_in(3) ? U256{} : U256{choices_.below(choices_.one_in(2) ? 4 : 1'000'000)};
        for (uint64_t i = choices_.below(4); i-- > 0;) {
            account.storage[choices_.any_of(around_.keys)] = U256{choices_.between(1, 2)};
        }
        if (!deep) {
            account.code =
                Program{choices_, around, 0}.write(static_cast<unsigned>(choices_.between(1, 30)));
            return;
        }
        // Both halves are plain arithmetic and storage; between them is the one call.
        Surroundings caller = around;
        caller.weights = {};
        caller.weights[kind_call] = 1;
        Bytes code = Straight{choices_, around}.write(static_cast<unsigned>(choices_.below(4)));
        const Bytes middle = Straight{choices_, caller}.write(1);
        const Bytes rest =
            Straight{choices_, around}.write(static_cast<unsigned>(choices_.below(4)));
        code.insert(code.end(), middle.begin(), middle.end());
        code.insert(code.end(), rest.begin(), rest.end());
        account.code = std::move(code);
    }

    /// A program without an end of its own, so that pieces can follow each other.
    struct Straight {
        Choices& choices;
        const Surroundings& around;
        Bytes write(unsigned statements) {
            return Program{choices, around, 4}.write_piece(statements);
        }
    };

    void add_delegated(const Address& a) {
        AccountSpec& account = s_.world[a];
        account.nonce = choices_.between(1, 3);
        account.balance = U256{choices_.below(5)};
        account.code = delegation_designator(choices_.any_of(around_.addresses));
        if (choices_.one_in(10)) { account.code.resize(choices_.between(1, 25)); }
    }

    /// Puts something where a contract's next creation goes.
    void block_creation_address() {
        const Address creator = numbered_address(1, 0);
        AccountSpec& account = s_.world[create_address(creator, s_.world[creator].nonce)];
        switch (choices_.below(3)) {
            case 0: account.nonce = 1; break;
            case 1: account.balance = U256{5}; break;
            default:
                account.balance = U256{1};
                account.storage[U256{1}] = U256{1};
                break;
        }
    }

    Choices& choices_;
    Scenario& s_;
    Surroundings around_;
    bool deep_ = false;
};

void make_block(Choices& choices, Scenario& s) {
    s.block.number = 1000;
    s.block.timestamp = 1'700'000'000;
    s.block.gas_limit = uint64_t{1} << 50;
    s.block.difficulty = U256{131072};
    for (size_t i = 0; i < 32; ++i) { s.block.prev_randao[i] = static_cast<uint8_t>(i * 11 + 3); }
    if (s.revision >= Revision::london) { s.block.base_fee_per_gas = U256{7}; }
    if (s.revision >= Revision::cancun) { s.block.blob_base_fee = U256{1 + choices.below(3)}; }
    for (uint64_t n = 740; n < 1000; ++n) {
        Hash256 h;
        for (size_t i = 0; i < 32; ++i) { h[i] = static_cast<uint8_t>(n * 13 + i); }
        s.block_hashes[n] = h;
    }
}

TxType pick_type(Choices& choices, Revision r) {
    std::vector<TxType> types{TxType::legacy};
    if (r >= Revision::berlin) { types.push_back(TxType::access_list); }
    if (r >= Revision::london) { types.push_back(TxType::dynamic_fee); }
    if (r >= Revision::cancun) { types.push_back(TxType::blob); }
    if (r >= Revision::prague) {
        types.push_back(TxType::set_code);
        types.push_back(TxType::set_code);
    }
    return choices.any_of(types);
}

void add_authorizations(Choices& choices, Scenario& s, const Surroundings& around) {
    for (uint64_t i = choices.between(choices.one_in(20) ? 0 : 1, 3); i-- > 0;) {
        Authorization a;
        a.chain_id = U256{choices.one_in(8) ? 2 : choices.below(2)};
        a.address = choices.one_in(5) ? Address{} : choices.any_of(around.addresses);
        const Address authority = choices.any_of(around.addresses);
        const auto account = s.world.find(authority);
        a.nonce = account == s.world.end() ? 0 : account->second.nonce;
        if (authority == s.sender) { ++a.nonce; }
        if (choices.one_in(8)) { a.nonce += choices.below(3); }
        if (choices.one_in(30)) { a.nonce = ~uint64_t{0}; }
        s.tx.authorization_list.push_back(a);
        // Nobody holds the key of a precompile's address.
        const bool known = to_u256(authority) > U256{0xffff} && !choices.one_in(10);
        s.authorities.push_back(known ? std::optional{authority} : std::nullopt);
    }
}

void make_transaction(Choices& choices, Scenario& s, WorldBuilder& builder) {
    Transaction& tx = s.tx;
    const Surroundings& around = builder.around();
    tx.type = pick_type(choices, s.revision);
    tx.nonce = s.world[s.sender].nonce + (choices.one_in(40) ? 1 : 0);
    if (tx.type != TxType::legacy ||
        choices.one_in(s.revision < Revision::spurious_dragon ? 20 : 2)) {
        tx.chain_id = 1;
    }
    tx.max_fee_per_gas = U256{choices.between(7, 12)};
    if (choices.one_in(40)) { tx.max_fee_per_gas = U256{choices.below(8)}; }
    tx.max_priority_fee_per_gas =
        tx.has_gas_price_only() ? tx.max_fee_per_gas : U256{choices.below(7)};
    tx.value = choices.one_in(2) ? U256{} : U256{choices.below(100)};
    if (choices.one_in(40)) { tx.value = shl(U256{1}, 120); }
    const bool may_create = tx.type != TxType::blob && tx.type != TxType::set_code;
    if (may_create && !builder.deep() && choices.one_in(4)) {
        tx.data = builder.init_code();
    } else {
        tx.to = !builder.deep() && choices.one_in(4) ? choices.any_of(around.addresses)
                                                     : around.addresses[0];
        for (uint64_t i = choices.below(choices.one_in(4) ? 800 : 70); i-- > 0;) {
            tx.data.push_back(static_cast<uint8_t>(choices.one_in(2) ? 0 : choices.below(256)));
        }
    }
    if (tx.type != TxType::legacy) {
        for (uint64_t i = choices.below(4); i-- > 0;) {
            AccessListEntry e;
            e.address = choices.any_of(around.addresses);
            for (uint64_t k = choices.below(4); k-- > 0;) {
                e.storage_keys.push_back(to_hash(choices.any_of(around.keys)));
            }
            tx.access_list.push_back(e);
        }
    }
    if (tx.type == TxType::blob) {
        tx.max_fee_per_blob_gas = U256{choices.between(choices.one_in(20) ? 0 : 3, 5)};
        for (uint64_t i = choices.one_in(20) ? choices.below(11) : choices.between(1, 5);
             i-- > 0;) {
            Hash256 h;
            h[0] = choices.one_in(60) ? 2 : 1;
            h[31] = static_cast<uint8_t>(i);
            tx.blob_versioned_hashes.push_back(h);
        }
    }
    if (tx.type == TxType::set_code) { add_authorizations(choices, s, around); }
    if (builder.deep() && tx.to && s.revision < Revision::osaka) {
        tx.gas_limit = choices.between(100'000'000'000, 1'000'000'000'000);
    } else {
        tx.gas_limit = 21000 + 20 * tx.data.size() + 25000 * tx.authorization_list.size() +
                       6000 * tx.access_list.size() + pick_gas(choices);
        if (tx.is_creation()) { tx.gas_limit += 32000; }
        if (choices.one_in(40)) { tx.gas_limit = choices.between(20000, 60000); }
        if (choices.one_in(200)) { tx.gas_limit = 16777216 + choices.below(2); }
    }
    s.gas = tx.gas_limit;
}

void make_message(Choices& choices, Scenario& s, WorldBuilder& builder) {
    const Surroundings& around = builder.around();
    s.gas =
        builder.deep() ? choices.between(100'000'000'000, 1'000'000'000'000) : pick_gas(choices);
    s.gas_price = U256{choices.below(20)};
    s.creates = !builder.deep() && choices.one_in(8);
    s.value = choices.one_in(2) ? U256{} : U256{choices.below(100)};
    if (s.creates) {
        s.input = builder.init_code();
        s.to = create_address(s.sender, s.world[s.sender].nonce);
    } else {
        s.is_static = choices.one_in(10);
        if (s.is_static) { s.value = U256{}; }
        s.to = !builder.deep() && choices.one_in(8) ? choices.any_of(around.addresses)
                                                    : around.addresses[0];
        for (uint64_t i = choices.below(100); i-- > 0;) {
            s.input.push_back(static_cast<uint8_t>(choices.below(256)));
        }
    }
    for (uint64_t i = choices.below(4); i-- > 0;) {
        Hash256 h;
        h[0] = 1;
        h[31] = static_cast<uint8_t>(i + 1);
        s.blob_hashes.push_back(h);
    }
}

}  // namespace

Scenario generate_scenario(Choices& choices, Revision first) {
    Scenario s;
    // Half of the scenarios run at one of the last three forks.
    const auto last = static_cast<uint64_t>(latest_revision);
    const uint64_t low = choices.one_in(2) ? static_cast<uint64_t>(first) : last - 2;
    s.revision = static_cast<Revision>(choices.between(low, last));
    make_block(choices, s);
    WorldBuilder builder{choices, s};
    builder.build();
    s.is_transaction = choices.one_in(2);
    if (s.is_transaction) {
        make_transaction(choices, s, builder);
    } else {
        make_message(choices, s, builder);
    }
    std::erase_if(s.world, [](const auto& entry) {
        return entry.second.nonce == 0 && entry.second.balance.is_zero() &&
               entry.second.code.empty();
    });
    return s;
}

Bytes generate_code(Choices& choices, Revision revision) {
    Surroundings around = surroundings(choices, revision);
    around.addresses = {numbered_address(1, 0), low_address(4)};
    return Program{choices, around, 0}.write(static_cast<unsigned>(choices.between(1, 60)));
}

}  // namespace millrace::evm::differential
