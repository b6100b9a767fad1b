//! Replicas that move on the device: the arrays of `kernels/motion.cu`, and steps that need no host.

use std::fmt::Write;
use std::sync::Arc;

use super::device::{Array, Batch, Device, Kernel, Lane, Launch, Plain, words_of};
use super::list_system::Status;
use super::motion_system::MotionSystem;
use super::unlisted::Verdict;
use super::{CudaEngine, CudaReal};
use crate::engine::{Motion, Moved, Unlisted, Wanted};
use crate::{Error, Result};

/// Threads of a block.
const THREADS: u32 = 128;
/// Steps that are started together: between one start and the next there is a pause.
const AT_ONCE: u64 = 8;
const FORCES: Wanted = Wanted {
    forces: true,
    virials: false,
    atom_virials: false,
};

/// The kernels of replicas that move, as [`Device::load`] gets them.
pub fn motion_program() -> String {
    let mut text = String::from("// Written by src/engine/cuda/mover.rs.\n");
    let _ = writeln!(text, "constexpr int MOTION_THREADS = {THREADS};");
    for (name, content) in [
        ("launch.cuh", include_str!("../../../kernels/launch.cuh")),
        ("status.cuh", include_str!("../../../kernels/status.cuh")),
        ("motion.cu", include_str!("../../../kernels/motion.cu")),
    ] {
        let _ = write!(text, "#line 1 \"kernels/{name}\"\n{content}");
    }
    text
}

/// What is kept on the device of replicas that move, beside their positions.
pub(super) struct Mover {
    program: usize,
    velocities: Array,
    forces: Array,
    clock: Array,
    response: Kept<f64>,
    thermal: Kept<f64>,
    streams: Kept<u32>,
    frozen: Kept<u8>,
}

/// An array that is brought to the device when it has changed.
struct Kept<T> {
    array: Array,
    values: Vec<T>,
}

impl<T: Plain + PartialEq> Kept<T> {
    fn new(device: &Arc<dyn Device>) -> Self {
        Self {
            array: Array::new(device),
            values: Vec::new(),
        }
    }

    fn set(&mut self, values: &[T]) -> Result<u64> {
        if self.values != values {
            self.values.clear();
            self.array.set(values)?;
            self.values.extend_from_slice(values);
        }
        Ok(self.array.address())
    }
}

impl Mover {
    fn new(device: &Arc<dyn Device>) -> Result<Self> {
        let kernels = [Kernel::Leap, Kernel::Kick, Kernel::Hop];
        Ok(Self {
            program: device.load(&motion_program(), &kernels.map(|kernel| (kernel, 0)))?,
            velocities: Array::new(device),
            forces: Array::new(device),
            clock: Array::new(device),
            response: Kept::new(device),
            thermal: Kept::new(device),
            streams: Kept::new(device),
            frozen: Kept::new(device),
        })
    }

    /// Brings replicas to the device as they are.
    fn bring(&mut self, motion: &Motion) -> Result<MotionSystem> {
        let frozen: Vec<u8> = motion.frozen.iter().map(|&still| u8::from(still)).collect();
        let [kept, fresh] = motion.langevin.unwrap_or([1.0, 0.0]);
        Ok(MotionSystem {
            velocities: self.velocities.set(motion.velocities)?,
            forces: self.forces.set(motion.forces)?,
            clock: self.clock.set(&[motion.step, 0])?,
            response: self.response.set(motion.response)?,
            thermal: self.thermal.set(motion.thermal)?,
            streams: self.streams.set(motion.streams)?,
            frozen: self.frozen.set(&frozen)?,
            timestep: motion.timestep,
            kept,
            fresh,
            farthest2: motion.largest_step * motion.largest_step,
            seed: [motion.seed as u32, (motion.seed >> 32) as u32],
            atoms: motion.velocities.len() as u32,
            langevin: u32::from(motion.langevin.is_some()),
            ..MotionSystem::default()
        })
    }

    /// Adds a kernel that needs all that was launched before it.
    fn add(&self, kernel: Kernel, system: &MotionSystem, batch: &mut Batch) {
        let launch = Launch {
            program: self.program,
            kernel,
            grid: (system.atoms.div_ceil(THREADS), 1),
            threads: THREADS,
            shared: 0,
        };
        batch.with(&words_of(system));
        batch.add_in(Lane::Joined, launch, 0);
    }
}

/// The launches of steps that follow one another.
struct Steps {
    /// What the first begins with.
    first: Batch,
    /// From the forces of one step to where those of the next are needed.
    each: Batch,
    /// The forces of the last and its end.
    last: Batch,
    /// The place of energies among the results.
    energies: usize,
}

impl<T: CudaReal> CudaEngine<T> {
    /// Makes steps, at least one, without looking at anything before the last; returns how many lists were found.
    pub(super) fn advance_in(
        &mut self,
        start: &Unlisted,
        motion: &Motion,
        steps: u64,
        moved: &mut Moved,
    ) -> Result<u64> {
        if self.mover.is_none() {
            self.mover = Some(Mover::new(&self.device)?);
        }
        self.work.set_types(start.types)?;
        let mut found = 0;
        loop {
            // From the beginning, also where a list had no room.
            let Steps {
                first,
                each,
                last,
                energies,
            } = self.steps(start, motion)?;
            self.device.run(&first)?;
            let mut several = Batch::default();
            (0..AT_ONCE).for_each(|_| several.append(each.clone()));
            for _ in 0..(steps - 1) / AT_ONCE {
                self.device.run(&several)?;
            }
            for _ in 0..(steps - 1) % AT_ONCE {
                self.device.run(&each)?;
            }
            self.device.run(&last)?;
            let status = self.fetch_moved(start, energies, moved)?;
            let own = self.unlisting()?;
            found += status.builds - own.builds;
            own.builds = status.builds;
            let verdict = own.settle(status)?;
            if !matches!(verdict, Verdict::Again) {
                let terms = start.terms.map(|chosen| chosen.terms);
                self.explain(&verdict, terms)?;
                return check_energies(&moved.energies).map(|()| found);
            }
        }
    }

    /// Brings everything to the device; returns the launches that steps are made of.
    fn steps(&mut self, start: &Unlisted, motion: &Motion) -> Result<Steps> {
        let (cutoff, few) = (self.cutoff()?, self.few(start.positions.len()));
        let types = self.work.types.address();
        let own = self.unlisting()?;
        own.ready = None;
        let (problem, arrays) = own.bring(start, cutoff, few)?;
        let (mut run, arrays) = self.prepare(problem, arrays, types, FORCES)?;
        if problem.listless {
            // Whatever moves atoms looks at their positions.
            run.batch.retain(|kernel| kernel != Kernel::Watch);
        }
        self.step(&mut run, FORCES, None)?;
        let slices = run.leave_slices();
        let (terms, [mut forces, tally]) = match &start.terms {
            Some(chosen) => self.chosen_apart(&run, &arrays, chosen)?,
            None => <_>::default(),
        };
        forces.append(run.batch);
        forces.append(tally);
        let mover = mover(&mut self.mover)?;
        let system = MotionSystem {
            positions: arrays.positions,
            structure: arrays.structure,
            structures: arrays.structures,
            new_forces: run.system.forces,
            term_forces: terms.forces,
            atom_energies: run.system.atom_energies,
            term_energies: terms.atom_energies,
            coincident: run.system.coincident,
            status: arrays.status,
            slices,
            ..mover.bring(motion)?
        };
        let (mut first, mut each, mut last) = (Batch::default(), forces.clone(), forces);
        // Nobody asks for energies of structures in between.
        each.retain(|kernel| ![Kernel::Total, Kernel::Tally].contains(&kernel));
        mover.add(Kernel::Leap, &system, &mut first);
        mover.add(Kernel::Hop, &system, &mut each);
        mover.add(Kernel::Kick, &system, &mut last);
        let energies = (run.system.energies - run.system.coincident) as usize / size_of::<f64>();
        Ok(Steps {
            first,
            each,
            last,
            energies,
        })
    }

    /// Brings back where replicas are, and how the list is.
    fn fetch_moved(
        &mut self,
        start: &Unlisted,
        energies: usize,
        moved: &mut Moved,
    ) -> Result<Status> {
        let (atoms, structures) = (start.positions.len(), start.structures.len() - 1);
        for rows in [
            &mut moved.positions,
            &mut moved.velocities,
            &mut moved.forces,
        ] {
            rows.resize(atoms, [0.0; 3]);
        }
        moved.energies.resize(structures, 0.0);
        let mut status = [Status::default()];
        let mover = mover(&mut self.mover)?;
        let own = self.unlisting.as_ref();
        let own = own.ok_or_else(|| Error::Internal("no neighbour lists".into()))?;
        let mut parts = vec![
            own.part(&mut moved.positions),
            mover.velocities.part(&mut moved.velocities),
            mover.forces.part(&mut moved.forces),
            self.work.results.part_from(energies, &mut moved.energies),
            own.finder.part(&mut status),
        ];
        match self.terms.as_ref().filter(|_| start.terms.is_some()) {
            Some(own) => {
                moved.terms.resize(structures * own.width(), 0.0);
                parts.push(own.part(&mut moved.terms));
                self.device.download_all(&mut parts)?;
            }
            None => {
                self.device.download_all(&mut parts)?;
                moved.terms.clone_from(&moved.energies);
            }
        }
        Ok(status[0])
    }
}

fn check_energies(energies: &[f64]) -> Result<()> {
    let wrong = energies.iter().position(|energy| !energy.is_finite());
    wrong.map_or(Ok(()), |replica| {
        let reason = format!("energy of structure {replica} is not finite");
        Err(Error::Numerical(reason))
    })
}

fn mover(mover: &mut Option<Mover>) -> Result<&mut Mover> {
    mover
        .as_mut()
        .ok_or_else(|| Error::Internal("nothing moves".into()))
}
