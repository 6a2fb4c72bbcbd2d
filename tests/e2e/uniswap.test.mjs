// SPDX-License-Identifier: Apache-2.0
// Owns the proof that real contracts work: @uniswap/v2-core as compiled by its authors, between two
// OpenZeppelin ERC-20 tokens, with every balance checked against the constant-product formula.
import assert from "node:assert/strict";
import test from "node:test";

import {
    Contract,
    ContractFactory,
    JsonRpcProvider,
    NonceManager,
    Wallet,
    ZeroAddress,
} from "ethers";
import { getCreate2Address, keccak256, parseEther, solidityPackedKeccak256 } from "ethers";

import { accounts, random } from "./harness/accounts.mjs";
import { compile, uniswap } from "./harness/contracts.mjs";
import { start_node } from "./harness/node.mjs";

const square_root = (value) => {
    let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
    for (let next = (root + value / root) >> 1n; next < root; next = (root + value / root) >> 1n) {
        root = next;
    }
    return root;
};

/** What a swap pays out: the constant product holds after a fee of 0.3 % on what came in. */
const amount_out = (amount_in, reserve_in, reserve_out) => {
    const paid = amount_in * 997n;
    return (paid * reserve_out) / (reserve_in * 1000n + paid);
};

test("uniswap v2 with OpenZeppelin tokens", { timeout: 120_000 }, async (t) => {
    const node = await start_node(t);
    const provider = new JsonRpcProvider(node.url, undefined, {
        pollingInterval: 20,
        cacheTimeout: -1,
    });
    t.after(() => provider.destroy());
    const maker = new NonceManager(new Wallet(accounts[0].private_key, provider));
    const trader = new NonceManager(new Wallet(accounts[1].private_key, provider));
    const maker_address = accounts[0].address;
    const trader_address = accounts[1].address;
    const send = async (transaction) => {
        const receipt = await (await transaction).wait();
        assert.equal(receipt.status, 1);
        return receipt;
    };
    // The pair writes its price sums only in the first change of a second, so an estimate of gas made in the same
    // second as the last change is too low for a transaction that runs in the next.
    const gas = { gasLimit: 500_000n };
    const supply = parseEther("1000000");
    const pair_code = uniswap("UniswapV2Pair");
    let factory, tokens, pair;
    const reserves_of_pair = async () => (await pair.getReserves()).toArray().slice(0, 2);
    const balances = async (owner) => Promise.all(tokens.map((token) => token.balanceOf(owner)));

    await t.test("the factory and two tokens deploy", async () => {
        const { abi, bytecode } = uniswap("UniswapV2Factory");
        factory = await (
            await new ContractFactory(abi, bytecode, maker).deploy(maker_address)
        ).waitForDeployment();
        assert.equal(await factory.feeToSetter(), maker_address);
        const token = compile("Token");
        tokens = [];
        for (const name of ["Flour", "Grain"]) {
            const made = await new ContractFactory(token.abi, token.bytecode, maker).deploy(
                name,
                name.slice(0, 3),
                supply,
            );
            tokens.push(await made.waitForDeployment());
            assert.equal(await made.totalSupply(), supply);
            assert.equal(await made.balanceOf(maker_address), supply);
        }
        // Uniswap orders the tokens of a pair by address.
        tokens.sort((a, b) => (BigInt(a.target) < BigInt(b.target) ? -1 : 1));
    });

    await t.test("ERC-20 transfer, approve and transferFrom move exactly the amount", async () => {
        const [token] = tokens;
        const receipt = await send(token.transfer(trader_address, 1_000n));
        assert.deepEqual(
            receipt.logs.map((log) => log.args.toArray()),
            [[maker_address, trader_address, 1_000n]],
        );
        await send(token.connect(trader).approve(maker_address, 600n));
        await send(token.transferFrom(trader_address, accounts[2].address, 400n));
        assert.equal(await token.balanceOf(trader_address), 600n);
        assert.equal(await token.balanceOf(accounts[2].address), 400n);
        assert.equal(await token.allowance(trader_address, maker_address), 200n);
        await assert.rejects(
            token.transferFrom.staticCall(trader_address, maker_address, 201n),
            (error) => {
                assert.equal(error.revert.name, "ERC20InsufficientAllowance");
                assert.deepEqual(error.revert.args.toArray(), [maker_address, 200n, 201n]);
                return true;
            },
        );
    });

    await t.test("createPair puts the pair at its CREATE2 address, once", async () => {
        await send(factory.createPair(tokens[1].target, tokens[0].target));
        const address = await factory.getPair(tokens[0].target, tokens[1].target);
        const salt = solidityPackedKeccak256(
            ["address", "address"],
            [tokens[0].target, tokens[1].target],
        );
        assert.equal(
            address,
            getCreate2Address(factory.target, salt, keccak256(pair_code.bytecode)),
        );
        assert.equal(await factory.allPairsLength(), 1n);
        await assert.rejects(factory.createPair.staticCall(tokens[0].target, tokens[1].target), {
            reason: "UniswapV2: PAIR_EXISTS",
        });
        pair = new Contract(address, pair_code.abi, maker);
        assert.equal(await pair.token0(), tokens[0].target);
        assert.equal(await pair.factory(), factory.target);
    });

    await t.test("liquidity is minted as the square root of the product", async () => {
        const amounts = [parseEther("5000"), parseEther("20000")];
        await send(tokens[0].transfer(pair.target, amounts[0]));
        await send(tokens[1].transfer(pair.target, amounts[1]));
        await send(pair.mint(maker_address, gas));
        assert.equal(await pair.totalSupply(), square_root(amounts[0] * amounts[1]));
        assert.equal(
            await pair.balanceOf(maker_address),
            square_root(amounts[0] * amounts[1]) - 1_000n,
        );
        assert.equal(await pair.balanceOf(ZeroAddress), 1_000n);
        assert.deepEqual(await reserves_of_pair(), amounts);
        for (const token of tokens) {
            await send(token.transfer(trader_address, parseEther("10000")));
        }
    });

    await t.test("random swaps pay exactly what the formula says", async (t) => {
        const next = random(t);
        for (let i = 0; i < 12; i++) {
            const side = next() < 0.5 ? 0 : 1;
            const paid = BigInt(Math.floor(next() * 1e15)) * 100_000n + 1n;
            const reserves = await reserves_of_pair();
            const out = amount_out(paid, reserves[side], reserves[1 - side]);
            const before = await balances(trader_address);
            await send(tokens[side].connect(trader).transfer(pair.target, paid));
            const order = (amount) => [
                side === 0 ? 0n : amount,
                side === 0 ? amount : 0n,
                trader_address,
                "0x",
            ];
            await assert.rejects(pair.connect(trader).swap.staticCall(...order(out + 1n)), {
                reason: "UniswapV2: K",
            });
            const receipt = await send(pair.connect(trader).swap(...order(out), gas));
            assert.deepEqual(
                receipt.logs.map((log) => pair.interface.parseLog(log)?.name),
                ["Transfer", "Sync", "Swap"],
            );

            const after = await balances(trader_address);
            assert.equal(before[side] - after[side], paid);
            assert.equal(after[1 - side] - before[1 - side], out);
            const expected = [...reserves];
            expected[side] += paid;
            expected[1 - side] -= out;
            assert.deepEqual(await reserves_of_pair(), expected);
            assert.deepEqual(await balances(pair.target), expected);
            assert.ok(
                expected[0] * expected[1] >= reserves[0] * reserves[1],
                "the product never falls",
            );
        }
    });

    await t.test("burning returns the share, and no token was made or lost", async () => {
        const share = (await pair.balanceOf(maker_address)) / 2n;
        const total = await pair.totalSupply();
        const held = await balances(pair.target);
        const before = await balances(maker_address);
        await send(pair.transfer(pair.target, share));
        await send(pair.burn(maker_address, gas));
        const after = await balances(maker_address);
        for (const i of [0, 1]) {
            assert.equal(after[i] - before[i], (share * held[i]) / total);
        }
        for (const token of tokens) {
            const owners = [maker_address, trader_address, accounts[2].address, pair.target];
            const sum = (await Promise.all(owners.map((owner) => token.balanceOf(owner)))).reduce(
                (a, b) => a + b,
                0n,
            );
            assert.equal(sum, supply);
        }
    });
});
