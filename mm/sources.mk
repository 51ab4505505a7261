# What mm/ is made of, from the frames up.
mm-y := buddy.o coremap.o slab.o mapping.o index.o index_marks.o index_visit.o object.o transfer.o reverse.o remove.o evict.o dirty.o clone.o \
	asid.o hart.o tlb.o walk.o table.o view.o share.o range.o replace.o leaf.o edit.o protect.o move.o grow.o place.o space.o fork.o fork_leaf.o fork_hot.o fault.o around.o cleared.o user.o force.o locked.o seal.o \
	region.o runs.o tally.o trace.o audit.o
