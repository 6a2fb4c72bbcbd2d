// SPDX-License-Identifier: Apache-2.0
// Owns getting the chain ready for a run.
#include "host/load/chain.hpp"

#include <chrono>
#include <thread>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::load {

namespace {

const U256 gwei{1'000'000'000};
constexpr uint64_t base_fee_factor = 8;
const U256 fee_min = gwei * U256{2};

// Ten to the power of 30, 24 and 18: far from the limit of a pair's reserves, 2^112.
const U256 ether{1'000'000'000'000'000'000};
const U256 supply = ether * U256{1'000'000'000'000};
const U256 liquidity = ether * U256{1'000'000};
const U256 tokens_of_sender = ether;

constexpr uint64_t deploy_gas = 6'000'000;
constexpr uint64_t pair_gas = 4'000'000;
constexpr uint64_t setup_call_gas = 500'000;

/// Most nodes take few transactions of one sender behind a missing nonce (ours 64), and the items
/// of a batch may reach the pool in any order.
constexpr size_t send_batch = 50;
constexpr auto poll_pause = std::chrono::milliseconds(10);
constexpr int64_t receipts_timeout_ns = 120'000'000'000;

std::string params_of(const std::string& text) { return "[\"" + text + "\"]"; }

std::string call_params(const Address& to, const Bytes& data) {
    return R"([{"to":")" + to_hex(to) + R"(","data":")" + to_hex(ByteView(data)) +
           R"("},"latest"])";
}

std::string state_params(const Address& address) {
    return "[\"" + to_hex(address) + "\",\"latest\"]";
}

std::vector<Address> addresses_of(const std::vector<Account>& accounts) {
    std::vector<Address> out;
    out.reserve(accounts.size());
    for (const Account& account : accounts) { out.push_back(account.address); }
    return out;
}

/// Field of a block as a quantity: "0x.." behind "name":", which no other field contains.
Result<U256> block_field(std::string_view block, std::string_view name) {
    const std::string mark = "\"" + std::string(name) + "\":\"";
    const size_t at = block.find(mark);
    if (at == std::string_view::npos) {
        return fail(ErrorCode::not_found, "the latest block has no " + std::string(name));
    }
    const std::string_view rest = block.substr(at + mark.size());
    return u256_from_hex(rest.substr(0, rest.find('"')));
}

}  // namespace

Result<Chain> Chain::open(RpcClient& client, ChainOptions options, Say say) {
    Chain chain(client, std::move(options), std::move(say));
    MILLRACE_TRY(chain.funder_, account_of_key(chain.options_.funding_key));
    MILLRACE_TRY(const U256 id, client.quantity({"eth_chainId", "[]"}));
    chain.chain_id_ = id.saturate64();
    auto version = client.call({"web3_clientVersion", "[]"});
    const auto text = version ? plain_string(*version) : Result<std::string_view>("unknown");
    chain.client_version_ = text ? std::string(*text) : "unknown";
    MILLRACE_CHECK(chain.read_fees());
    const Shape& shape = chain.options_.shape;
    for (uint32_t i = 0; i < chain.options_.sender_count; ++i) {
        chain.senders_.push_back(derive_account(shape.seed, i));
    }
    for (uint32_t i = 0; i < shape.recipient_count; ++i) {
        chain.recipients_.push_back(derive_recipient(shape.seed, i));
    }
    return chain;
}

Result<void> Chain::read_fees() {
    const U256 tip = gwei * U256{std::max(options_.tip_gwei, options_.priority_tip_gwei)};
    if (options_.max_fee_gwei != 0) {
        max_fee_ = std::max(gwei * U256{options_.max_fee_gwei}, tip);
        return {};
    }
    MILLRACE_TRY(const std::string block,
                 client_->call({"eth_getBlockByNumber", R"(["latest",false])"}));
    auto base_fee = block_field(block, "baseFeePerGas");
    if (!base_fee) {
        return fail(ErrorCode::unavailable,
                    "the chain has no base fee: EIP-1559 transactions cannot be sent to it");
    }
    max_fee_ = std::max(*base_fee * U256{base_fee_factor}, fee_min) + tip;
    return {};
}

Result<U256> Chain::balance(const Address& address) {
    return client_->quantity({"eth_getBalance", state_params(address)});
}

Result<uint64_t> Chain::nonce(const Address& address) {
    MILLRACE_TRY(const U256 value,
                 client_->quantity({"eth_getTransactionCount", state_params(address)}));
    return value.saturate64();
}

void Chain::dress(evm::Transaction& tx, uint64_t nonce, bool priority) const {
    tx.chain_id = chain_id_;
    tx.nonce = nonce;
    tx.max_fee_per_gas = max_fee_;
    tx.max_priority_fee_per_gas =
        gwei * U256{priority ? options_.priority_tip_gwei : options_.tip_gwei};
}

void Chain::add(std::vector<Unsigned>& to, std::optional<Address> target, Bytes data, U256 value,
                uint64_t gas_limit) {
    evm::Transaction tx;
    tx.type = evm::TxType::dynamic_fee;
    tx.to = target;
    tx.data = std::move(data);
    tx.value = value;
    tx.gas_limit = gas_limit;
    to.push_back({&funder_, funder_nonce_++, std::move(tx)});
}

Result<void> Chain::send(const std::vector<Unsigned>& transactions, const std::string& what) {
    if (transactions.empty()) { return {}; }
    say_(what + ": " + std::to_string(transactions.size()) + " transactions");
    std::vector<Hash256> hashes;
    std::vector<RpcClient::Call> calls;
    for (const Unsigned& t : transactions) {
        evm::Transaction tx = t.tx;
        dress(tx, t.nonce, false);
        const Bytes raw = sign_transaction(tx, t.from->secret_key);
        hashes.push_back(kernels::keccak256(raw));
        calls.push_back({"eth_sendRawTransaction", params_of(to_hex(ByteView(raw)))});
    }
    for (size_t first = 0; first < calls.size(); first += send_batch) {
        const size_t end = std::min(calls.size(), first + send_batch);
        const std::vector<RpcClient::Call> part(calls.begin() + static_cast<ptrdiff_t>(first),
                                                calls.begin() + static_cast<ptrdiff_t>(end));
        MILLRACE_TRY(const auto answers, client_->batch(part));
        for (const auto& answer : answers) {
            if (!answer) { return fail(answer.error().code, what + ": " + answer.error().message); }
        }
    }
    return wait_for_receipts(hashes, what);
}

Result<void> Chain::wait_for_receipts(const std::vector<Hash256>& hashes, const std::string& what) {
    const int64_t deadline_ns = steady_ns() + receipts_timeout_ns;
    std::vector<Hash256> open = hashes;
    while (!open.empty()) {
        // The last first: without it there is no use in asking for the rest.
        MILLRACE_TRY(const std::string last,
                     client_->call({"eth_getTransactionReceipt", params_of(to_hex(open.back()))}));
        std::vector<Hash256> missing;
        if (last == "null") {
            missing = std::move(open);
        } else {
            std::vector<RpcClient::Call> calls;
            for (const Hash256& hash : open) {
                calls.push_back({"eth_getTransactionReceipt", params_of(to_hex(hash))});
            }
            MILLRACE_TRY(const auto answers, client_->batch(calls));
            for (size_t i = 0; i < answers.size(); ++i) {
                MILLRACE_TRY(const std::string& text, answers[i]);
                MILLRACE_TRY(const auto receipt, client_->reader().read_receipt(text));
                if (!receipt) {
                    missing.push_back(open[i]);
                } else if (!receipt->succeeded) {
                    return fail(ErrorCode::unavailable,
                                what + ": transaction " + to_hex(open[i]) + " reverted");
                }
            }
        }
        open = std::move(missing);
        if (open.empty()) { break; }
        if (steady_ns() > deadline_ns) {
            return fail(ErrorCode::timeout, what + ": " + std::to_string(open.size()) +
                                                " transactions were not included in two minutes");
        }
        std::this_thread::sleep_for(poll_pause);
    }
    return {};
}

Result<void> Chain::deploy() {
    const Profile profile = options_.shape.profile;
    if (!needs_token(profile) && !needs_exchange(profile)) { return {}; }
    MILLRACE_TRY(const Artifacts artifacts,
                 read_artifacts(options_.artifacts, needs_exchange(profile)));
    MILLRACE_TRY(funder_nonce_, nonce(funder_.address));
    if (needs_token(profile)) {
        std::vector<Unsigned> list;
        contracts_.token = created_address(funder_.address, funder_nonce_);
        add(list, std::nullopt, creation_data(artifacts.token, {supply}), 0, deploy_gas);
        for (const Account& sender : senders_) {
            add(list, contracts_.token,
                call_data("transfer(address,uint256)", {sender.address, tokens_of_sender}), 0,
                setup_call_gas);
        }
        MILLRACE_CHECK(send(list, "the ERC-20 token"));
    }
    if (needs_exchange(profile)) { MILLRACE_CHECK(deploy_exchange(artifacts)); }
    return {};
}

Result<void> Chain::deploy_exchange(const Artifacts& artifacts) {
    std::vector<Unsigned> list;
    const auto create = [&](Bytes code) {
        const Address at = created_address(funder_.address, funder_nonce_);
        add(list, std::nullopt, std::move(code), 0, deploy_gas);
        return at;
    };
    contracts_.factory = create(creation_data(artifacts.factory, {funder_.address}));
    contracts_.weth = create(artifacts.weth);
    contracts_.router =
        create(creation_data(artifacts.router, {contracts_.factory, contracts_.weth}));
    // Pair i trades tokens i and i + 1.
    std::vector<Address> tokens;
    for (uint32_t i = 0; i <= options_.shape.pair_count; ++i) {
        tokens.push_back(create(creation_data(artifacts.token, {supply})));
        add(list, tokens.back(),
            call_data("approve(address,uint256)", {contracts_.router, U256::max()}), 0,
            setup_call_gas);
    }
    contracts_.pairs.assign(options_.shape.pair_count, {});
    for (uint32_t i = 0; i < options_.shape.pair_count; ++i) {
        Contracts::Pair& pair = contracts_.pairs[i];
        pair.token[0] = tokens[i];
        pair.token[1] = tokens[i + 1];
        add(list, contracts_.router,
            call_data("addLiquidity(address,address,uint256,uint256,uint256,uint256,address,"
                      "uint256)",
                      {pair.token[0], pair.token[1], liquidity, liquidity, uint64_t{0}, uint64_t{0},
                       funder_.address, U256::max()}),
            0, pair_gas);
    }
    MILLRACE_CHECK(send(list, "Uniswap V2"));
    for (Contracts::Pair& pair : contracts_.pairs) {
        const Bytes data = call_data("getPair(address,address)", {pair.token[0], pair.token[1]});
        MILLRACE_TRY(const U256 word,
                     client_->quantity({"eth_call", call_params(contracts_.factory, data)}));
        pair.pair = Address::from(ByteView(Word(word).bytes).subspan(12));
    }

    list.clear();
    for (uint32_t i = 0; i < senders_.size(); ++i) {
        for (const Address& token : contracts_.pairs[i % options_.shape.pair_count].token) {
            add(list, token,
                call_data("transfer(address,uint256)", {senders_[i].address, tokens_of_sender}), 0,
                setup_call_gas);
        }
    }
    MILLRACE_CHECK(send(list, "tokens of the pairs"));

    // The senders approve for themselves, so they need ether before fund() is called.
    MILLRACE_CHECK(fund(8));
    list.clear();
    for (uint32_t i = 0; i < senders_.size(); ++i) {
        uint64_t next = first_nonces_[i];
        for (const Address& token : contracts_.pairs[i % options_.shape.pair_count].token) {
            evm::Transaction tx;
            tx.type = evm::TxType::dynamic_fee;
            tx.to = token;
            tx.data = call_data("approve(address,uint256)", {contracts_.router, U256::max()});
            tx.gas_limit = gas_limit_of(Kind::swap);
            list.push_back({&senders_[i], next++, std::move(tx)});
        }
    }
    return send(list, "approvals");
}

Result<void> Chain::fund(uint64_t transactions_per_sender) {
    const Profile profile = options_.shape.profile;
    const uint64_t gas = needs_exchange(profile) ? gas_limit_of(Kind::swap)
                         : needs_token(profile)  ? gas_limit_of(Kind::erc20)
                                                 : gas_limit_of(Kind::transfer);
    const U256 needed =
        (U256{gas} * max_fee_ + U256{transfer_amount}) * U256{transactions_per_sender};
    MILLRACE_TRY(const auto balances, ether_balances(addresses_of(senders_)));
    MILLRACE_TRY(funder_nonce_, nonce(funder_.address));
    std::vector<Unsigned> list;
    U256 total;
    for (size_t i = 0; i < senders_.size(); ++i) {
        if (balances[i] >= needed) { continue; }
        const U256 lacking = needed - balances[i];
        total += lacking + U256{gas_limit_of(Kind::transfer)} * max_fee_;
        add(list, senders_[i].address, {}, lacking, gas_limit_of(Kind::transfer));
    }
    MILLRACE_TRY(const U256 available, balance(funder_.address));
    if (total > available) {
        return fail(ErrorCode::unavailable,
                    "the funding account " + to_hex(funder_.address) + " has " +
                        to_decimal(available) + " wei, the run may need " + to_decimal(total) +
                        "; fund it, give another with --key, or ask for fewer transactions or a "
                        "lower --max-fee");
    }
    MILLRACE_CHECK(send(list, "funds of the senders"));

    std::vector<RpcClient::Call> calls;
    for (const Account& sender : senders_) {
        calls.push_back({"eth_getTransactionCount", state_params(sender.address)});
    }
    MILLRACE_TRY(const auto nonces, client_->quantities(calls));
    first_nonces_.clear();
    for (const U256& value : nonces) { first_nonces_.push_back(value.saturate64()); }
    MILLRACE_TRY(recipient_ether_, ether_balances(recipients_));
    if (needs_token(profile)) {
        MILLRACE_TRY(recipient_tokens_, token_balances(contracts_.token, recipients_));
    }
    return {};
}

Result<std::vector<U256>> Chain::ether_balances(const std::vector<Address>& holders) {
    std::vector<RpcClient::Call> calls;
    for (const Address& holder : holders) {
        calls.push_back({"eth_getBalance", state_params(holder)});
    }
    return client_->quantities(calls);
}

Result<std::vector<U256>> Chain::token_balances(const Address& token,
                                                const std::vector<Address>& holders) {
    std::vector<RpcClient::Call> calls;
    for (const Address& holder : holders) {
        calls.push_back(
            {"eth_call", call_params(token, call_data("balanceOf(address)", {holder}))});
    }
    return client_->quantities(calls);
}

Result<Verification>
Chain::verify(const IncludedCounts& included_counts,
              const std::function<bool(uint32_t sender, uint64_t nth)>& included,
              const std::vector<Hash256>& sample) {
    Verification out;
    const auto compare = [&out](uint64_t& right, const Address& who, const char* what,
                                const U256& expected, const U256& seen) {
        if (expected == seen) {
            ++right;
            return;
        }
        constexpr size_t faults_max = 20;
        if (out.faults.size() < faults_max) {
            out.faults.push_back(std::string(what) + " of " + to_hex(who) + " is " +
                                 to_decimal(seen) + ", " + to_decimal(expected) + " by the run");
        }
    };

    std::vector<U256> ether_sent(recipients_.size());
    std::vector<U256> tokens_sent(recipients_.size());
    std::vector<RpcClient::Call> calls;
    for (uint32_t i = 0; i < senders_.size(); ++i) {
        calls.push_back({"eth_getTransactionCount", state_params(senders_[i].address)});
        // Included ones come first in nonce order, whatever was sent behind them.
        for (uint64_t nth = 0; nth < included_counts[i]; ++nth) {
            if (!included(i, nth)) {
                out.faults.push_back("transaction " + std::to_string(nth) + " of " +
                                     to_hex(senders_[i].address) +
                                     " was not seen included, but a later one of it was");
                break;
            }
            const TransactionSpec spec = spec_of(options_.shape, i, nth);
            if (spec.kind == Kind::swap) { continue; }
            (spec.kind == Kind::transfer ? ether_sent : tokens_sent)[spec.recipient] +=
                U256{transfer_amount};
        }
    }
    MILLRACE_TRY(const auto nonces, client_->quantities(calls));
    for (size_t i = 0; i < nonces.size(); ++i) {
        compare(out.nonces, senders_[i].address, "the nonce",
                U256{first_nonces_[i] + included_counts[i]}, nonces[i]);
    }
    MILLRACE_TRY(const auto ether_now, ether_balances(recipients_));
    for (size_t i = 0; i < recipients_.size(); ++i) {
        compare(out.balances, recipients_[i], "the balance", recipient_ether_[i] + ether_sent[i],
                ether_now[i]);
    }
    if (needs_token(options_.shape.profile)) {
        MILLRACE_TRY(const auto tokens_now, token_balances(contracts_.token, recipients_));
        U256 sum;
        for (size_t i = 0; i < recipients_.size(); ++i) {
            compare(out.balances, recipients_[i], "the token balance",
                    recipient_tokens_[i] + tokens_sent[i], tokens_now[i]);
            sum += tokens_now[i];
        }
        std::vector<Address> others = addresses_of(senders_);
        others.push_back(funder_.address);
        MILLRACE_TRY(const auto held, token_balances(contracts_.token, others));
        for (const U256& part : held) { sum += part; }
        compare(out.balances, contracts_.token, "the sum of all balances", supply, sum);
    }
    if (needs_exchange(options_.shape.profile)) { MILLRACE_CHECK(verify_pairs(out)); }

    calls.clear();
    for (const Hash256& hash : sample) {
        calls.push_back({"eth_getTransactionReceipt", params_of(to_hex(hash))});
    }
    MILLRACE_TRY(const auto answers, client_->batch(calls));
    for (size_t i = 0; i < answers.size(); ++i) {
        MILLRACE_TRY(const std::string& text, answers[i]);
        MILLRACE_TRY(const auto receipt, client_->reader().read_receipt(text));
        if (receipt && receipt->succeeded && receipt->transaction_hash == sample[i]) {
            ++out.receipts;
        } else {
            out.faults.push_back("transaction " + to_hex(sample[i]) +
                                 (receipt ? " reverted" : " was included and has no receipt"));
        }
    }
    return out;
}

Result<void> Chain::verify_pairs(Verification& out) {
    for (size_t i = 0; i < contracts_.pairs.size(); ++i) {
        const Contracts::Pair& pair = contracts_.pairs[i];
        MILLRACE_TRY(
            const std::string text,
            client_->call({"eth_call", call_params(pair.pair, call_data("getReserves()", {}))}));
        MILLRACE_TRY(const auto digits, plain_string(text));
        MILLRACE_TRY(const Bytes words, from_hex(digits));
        if (words.size() != 96) {
            out.faults.push_back("getReserves() of pair " + to_hex(pair.pair) +
                                 " gave no reserves");
            continue;
        }
        // The pair orders its tokens by address.
        const bool swapped = pair.token[1] < pair.token[0];
        U256 product{1};
        for (size_t side = 0; side < 2; ++side) {
            MILLRACE_TRY(const U256 reserve,
                         u256_from_hex(to_hex(ByteView(words).subspan(32 * side, 32))));
            const Address& token = pair.token[swapped ? 1 - side : side];
            // Everybody who can hold the token: its pairs, their senders and the funding account.
            std::vector<Address> holders = addresses_of(senders_);
            holders.push_back(funder_.address);
            for (const Contracts::Pair& other : contracts_.pairs) { holders.push_back(other.pair); }
            MILLRACE_TRY(const auto held, token_balances(token, holders));
            U256 sum;
            for (const U256& part : held) { sum += part; }
            const U256& own = held[senders_.size() + 1 + i];
            if (own == reserve && sum == supply) {
                ++out.balances;
            } else {
                out.faults.push_back("token " + to_hex(token) + ": reserve " + to_decimal(reserve) +
                                     ", balance of the pair " + to_decimal(own) +
                                     ", sum of all balances " + to_decimal(sum));
            }
            product = product * reserve;
        }
        if (product < liquidity * liquidity) {
            out.faults.push_back("the constant product of pair " + to_hex(pair.pair) + " fell");
        }
    }
    return {};
}

}  // namespace millrace::load
