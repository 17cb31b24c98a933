# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# GNU make, for Linux.  FreeBSD's make reads BSDmakefile instead.
#
#   make deps         install the tools and headers that the build needs (Debian 12)
#   make kmods        build/kmods/*.ko
#   make check-kmods  the link gate on each of them
#   make test lint    unit tests; rustfmt and clippy
#   make demo         all four modules in one process: see ARGS=--help
#   make conform      the conformance tool against our controller and our host
#   make sim          SEEDS=1000 simulations, or SEED=n once more
#   make fuzz         the fuzz targets, FUZZ_RUNS executions of each
#   make coverage     line coverage of each module's halves, with floors
#   make mutants, sim-mutants
#                     deliberate faults, each of which a test must catch
#   make interop      both roles against a stock Linux kernel, if it can be had
#   make asan, tsan, miri
#                     the tests under AddressSanitizer, ThreadSanitizer, Miri
#   make vm-test      the scenarios in a FreeBSD guest, if there is one
#   make bench        our modules and the base system's in turn, there
#   make bench-cost   instructions of an I/O there, by function
#   make bench-steps  what wakes whom during an I/O there
#
# SYSDIR=/path/to/freebsd/sys builds against a source tree's own headers
# and checks the stand-ins in shim/stubs against them.

MODULES	= nvmf_transport nvmf_tcp nvmf nvmft
O	?= $(CURDIR)/build
KMODS	= $(MODULES:%=$(O)/kmods/%.ko)

first	= $(firstword $(foreach p,$(1),$(shell command -v $(p))))
CLANG	?= $(call first,clang-19 clang-18 clang-17 clang-16 clang)
LLD	?= $(call first,ld.lld-19 ld.lld-18 ld.lld-17 ld.lld-16 ld.lld)
OBJCOPY	?= $(call first,llvm-objcopy-19 llvm-objcopy-18 llvm-objcopy-17 llvm-objcopy-16 llvm-objcopy)
CXXFILT	?= $(or $(call first,llvm-cxxfilt-19 llvm-cxxfilt-18 llvm-cxxfilt-17 llvm-cxxfilt-16 llvm-cxxfilt),cat)
OBJDUMP	?= $(call first,llvm-objdump-19 llvm-objdump-18 llvm-objdump-17 llvm-objdump-16 llvm-objdump)
CARGO	?= cargo

# `core` is built from source, so the compiler must have its source beside it:
# rustup's with the rust-src component, or Debian's rustc-web with rust-web-src.
KRUSTC	?= $(firstword $(foreach r,rustc /usr/bin/rustc,$(shell \
	s=$$($(r) --print sysroot 2>/dev/null) && \
	test -e "$$s/lib/rustlib/src/rust/library/core/Cargo.toml" && echo $(r))))

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

#
# Headers.
#
HEADERS	?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nvmf-rs/freebsd-headers
STUB_INC = -D__FreeBSD_version=1500068 -isystem shim/stubs \
	-isystem $(HEADERS)/x86_64-freebsd-none -isystem $(HEADERS)/generic-freebsd
ifdef SYSDIR
SYSINC	= $(O)/sysinc
TREE_INC = -isystem $(SYSINC) -isystem $(SYSDIR) -isystem $(SYSDIR)/contrib/ck/include
KINC	= $(TREE_INC)
else
KINC	= $(STUB_INC)
endif

#
# The C half.  The flags are those of conf/kern.mk and conf/kmod.mk; no
# KDTRACE_HOOKS, so that the modules load on kernels without it.
#
KCFLAGS	= --target=x86_64-unknown-freebsd15.0 -O2 -std=gnu17 -nostdinc \
	-D_KERNEL -DKLD_MODULE -DSMP -fno-common -fno-strict-aliasing -fwrapv \
	-ffreestanding -mcmodel=kernel -mno-red-zone -mno-mmx -mno-sse \
	-msoft-float -mno-aes -mno-avx -fno-omit-frame-pointer \
	-mno-omit-leaf-frame-pointer -fno-asynchronous-unwind-tables \
	-fstack-protector -ffunction-sections -fdata-sections \
	-fstack-size-section -fdebug-prefix-map=$(CURDIR)=. \
	-Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes \
	-Wstrict-prototypes -Wpointer-arith -Wundef -Werror

KPI	= kpi_base kpi_nv kpi_mbuf kpi_sock
KPI_nvmf = kpi_cam kpi_newbus kpi_cdev
KPI_nvmft = kpi_ctl
objs	= $(patsubst %,$(O)/obj/%.o,glue_$(1) $(KPI) $(KPI_$(1)))

#
# The Rust half.
#
KTARGET	= x86_64-unknown-none
KRUSTFLAGS = -Crelocation-model=static -Ccode-model=kernel -Cno-redzone=yes \
	-Cforce-frame-pointers=yes -Cpanic=abort -Cforce-unwind-tables=no \
	-Crelro-level=off -Zemit-stack-sizes --remap-path-prefix=$(CURDIR)=.
KCARGO	= RUSTC=$(KRUSTC) RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(KRUSTFLAGS)" $(CARGO)
STATICLIB = $(CARGO_TARGET_DIR)/kmods/$(KTARGET)/kmod/lib$(1).a

all: kmods

deps:
	sh shim/link/deps.sh "$(HEADERS)"

kmods: tools-check layout-check $(KMODS)

# All C files, for those who work on them.
shim: tools-check layout-check $(patsubst shim/freebsd/%.c,$(O)/obj/%.o,$(wildcard shim/freebsd/*.c))

tools-check:
	@test -n "$(CLANG)" -a -n "$(LLD)" -a -n "$(OBJCOPY)" || \
	    { echo 'clang, lld or llvm-objcopy is missing: make deps' >&2; exit 1; }
	@test -n "$(KRUSTC)" || \
	    { echo 'no rustc with the source of core: make deps' >&2; exit 1; }
	@test -n "$(SYSDIR)" || test -d "$(HEADERS)/generic-freebsd" || \
	    { echo 'no FreeBSD headers: make deps, or set SYSDIR' >&2; exit 1; }

# With a source tree the same assertions hold for its headers and for the
# stand-ins, if the public headers are at hand too.
layout-check: $(O)/obj/layout_check.o
ifdef SYSDIR
layout-check: $(if $(wildcard $(HEADERS)/generic-freebsd),$(O)/obj/layout_check_stubs.o)
endif

# A change of headers or flags rebuilds every object.
FLAGS	= $(CLANG) $(KCFLAGS) $(KINC)
$(O)/flags: force
	@mkdir -p $(O)/obj $(O)/kmods
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

$(O)/obj/%.o: shim/freebsd/%.c $(O)/flags | $(SYSINC)
	@echo 'CC $<'
	@$(CLANG) $(KCFLAGS) -Ishim/include -Ishim/freebsd $(KINC) -MMD -MP -c -o $@ $<

$(O)/obj/layout_check_stubs.o: shim/freebsd/layout_check.c $(O)/flags
	@echo 'CC $< (stand-ins)'
	@$(CLANG) $(KCFLAGS) $(STUB_INC) -MMD -MP -c -o $@ $<

-include $(wildcard $(O)/obj/*.d)

# What config(8) and a kernel build would generate.
$(O)/sysinc: $(O)/flags
	@mkdir -p $@
	@cd $@ && for i in device bus; do \
	    awk -f $(SYSDIR)/tools/makeobjops.awk $(SYSDIR)/kern/$${i}_if.m -h || exit 1; \
	done; : > opt_cam.h; : > opt_global.h; \
	ln -sfn $(SYSDIR)/amd64/include machine; ln -sfn $(SYSDIR)/x86/include x86; \
	ln -sfn $(SYSDIR)/i386/include i386

# cargo knows best whether its output is fresh.
define MODULE_RULES
.PHONY: staticlib-$(1)
staticlib-$(1): tools-check
	@echo 'CARGO $(1)'
	@$$(KCARGO) rustc -q -p $(1) --crate-type staticlib --profile kmod \
	    --target $(KTARGET) --target-dir $$(CARGO_TARGET_DIR)/kmods \
	    -Zbuild-std=core,compiler_builtins
$(call STATICLIB,$(1)): staticlib-$(1) ;

$(O)/kmods/$(1).full: $(call objs,$(1)) $(call STATICLIB,$(1)) shim/link/kmod.lds shim/link/export/$(1).txt
	@echo 'LD $(1)'
	@$$(LLD) -r --gc-sections -T shim/link/kmod.lds \
	    $$$$(sed 's/^/-u /' shim/link/export/$(1).txt) -o $$@ \
	    $(call objs,$(1)) $(call STATICLIB,$(1))
endef
$(foreach m,$(MODULES),$(eval $(call MODULE_RULES,$(m))))

# The file that is loaded: nothing but what the kernel needs, and no global
# name but those that other modules use.  (No list at all would keep every
# name, hence one that no module has.)
$(O)/kmods/%.ko: $(O)/kmods/%.full
	@echo 'KO $@'
	@$(OBJCOPY) --strip-debug --keep-global-symbol=- \
	    --keep-global-symbols=shim/link/export/$*.txt \
	    --remove-section=.stack_sizes --remove-section=.rela.stack_sizes \
	    --remove-section=.llvmbc --remove-section=.llvmcmd \
	    --remove-section=.comment $< $@

#
# The link gate.
#
SETS	= set_modmetadata_set,set_sysinit_set,set_sysuninit_set

check-kmods: kmods
	@$(CARGO) build -q -p kmodcheck
	@for m in $(MODULES); do \
	    $(OBJDUMP) -d --no-show-raw-insn $(O)/kmods/$$m.ko > $(O)/obj/$$m.dis || exit 1; \
	done
	@rm -f $(O)/obj/gate; for m in $(MODULES); do \
	    case $$m in nvmft) sets=$(SETS);; *) sets=$(SETS),set_sysctl_set;; esac; \
	    $(CARGO_TARGET_DIR)/debug/kmodcheck --sets $$sets \
	    --allow shim/link/allow/$$m.txt --export shim/link/export/$$m.txt \
	    --unstripped $(O)/kmods/$$m.full --disassembly $(O)/obj/$$m.dis \
	    $(O)/kmods/$$m.ko || touch $(O)/obj/gate; \
	done | $(CXXFILT); test ! -e $(O)/obj/gate

# What cargo needs on a machine that has little more than rustup.
test-deps:
	@sh shim/link/deps.sh --tests

test demo sim conform lint fuzz coverage mutants sim-mutants asan tsan miri interop: test-deps

test:
	@python3 tests/mutants/mutants.py --fit
	$(CARGO) test --workspace
	@$(MAKE) -C tests/bench unit

demo:
	@$(CARGO) run --release -p hosted --bin demo -- $(ARGS)

# One simulation per seed; tours through all states; then failures at each allocation site, at each
# segment and at some bytes.
SEEDS	?= 1000
SIM	= $(CARGO) run -q -p hosted --bin sim --
sim:
ifdef SEED
	@$(SIM) --seed $(SEED)
else
	@$(SIM) --seeds 0..$(SEEDS)
	@$(SIM) --kind Guided 20
	@$(SIM) --sites
	@$(SIM) --segments
	@$(SIM) --bytes 499
endif

# The conformance tool against our controller and our host, and the proof that
# its cases can fail.
conform:
	@$(CARGO) build -q -p conform -p hosted
	@sh tests/conform/run.sh $(CARGO_TARGET_DIR)/debug $(O)/conform
	$(CARGO) test -q -p conform --test can_fail -- --ignored

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fuzz:
	@CARGO="$(CARGO)" FUZZ_OUT="$(O)/fuzz" sh tests/fuzz/run.sh

coverage:
	@python3 tests/coverage/coverage.py --out "$(O)/coverage" $(ARGS)

asan tsan miri:
	@CARGO="$(CARGO)" sh tests/sanitize.sh $@

mutants:
	@python3 tests/mutants/mutants.py --out "$(O)/mutants" $(ARGS)

sim-mutants:
	@python3 tests/mutants/mutants.py --out "$(O)/mutants" $(ARGS) tests/mutants/kernel.txt

# See tests/interop/README.md; INTEROP='--role linux-host --digests both' and the like.
interop:
	@cd tests/interop && python3 -m unittest discover -q -s unit -t .
	@$(CARGO) build -q --release -p hosted --bins
	@python3 tests/interop/interop.py --binaries $(CARGO_TARGET_DIR)/release $(INTEROP)

vm-test: kmods
	@if test -e tests/vm/Makefile; then $(MAKE) -C tests/vm KMODS=$(O)/kmods; \
	else echo 'vm-test: skipped, there is no harness yet'; fi

bench: kmods
	@$(MAKE) -C tests/bench O=$(O)

bench-cost: kmods
	@$(MAKE) -C tests/bench O=$(O) cost

bench-steps: kmods
	@$(MAKE) -C tests/bench O=$(O) steps

clean:
	rm -rf $(O)
	$(CARGO) clean

.PHONY: conform all deps test-deps kmods shim tools-check layout-check check-kmods test demo sim lint fuzz coverage \
	mutants sim-mutants asan tsan miri vm-test bench bench-cost bench-steps clean force
.DELETE_ON_ERROR:
.SECONDARY:
